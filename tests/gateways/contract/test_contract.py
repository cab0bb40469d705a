"""What every gateway keeps, whatever goes wrong: nothing lost, nothing seen twice, order per chat.

One suite over the simulator, the Cloud API (before the stand-in Graph) and Baileys (before the stand-in WhatsApp Web),
each with the whole product in front of it.
"""

import pytest

from berrante.engine.groups import Waits
from berrante.gateways.protocol import Scope, TemplateContent
from berrante.messaging.outbound.policy.holding import contact_hold
from tests.gateways.contract.chats import DONE, new_chat
from tests.gateways.contract.conftest import GATEWAYS
from tests.gateways.contract.error_classes import CLASSES, Effect, ErrorClass
from tests.gateways.contract.worlds import KIOSK, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: More often than anything is tried before the world recovers.
ALWAYS = 1_000


async def test_what_a_contact_writes_comes_in_once_and_in_order_however_often_it_is_delivered(world: World) -> None:
    chat = await new_chat(world)
    for stored, (text, copies) in enumerate([("one", 1), ("two", 3), ("three", 2)], start=2):
        await chat.write(text, copies=copies)
        await chat.incoming(stored)
    await chat.write("the last")

    assert await chat.incoming(5) == ["Hello", "one", "two", "three", "the last"]


async def test_what_we_send_is_seen_once_and_in_order_and_its_receipts_are_stored(world: World) -> None:
    chat = await new_chat(world)
    for text in ("one", "two", "three"):
        (last,) = await chat.send(text)
        message = await chat.settled(last, *DONE)

    assert await chat.screen() == ["one", "two", "three"]
    # Out of order and twice: a receipt never takes back what a later one said.
    await world.tell(chat.contact, message, *(["read", "delivered", "sent"] * 2))
    message = await chat.settled(last, "read")
    await chat.write("after them")
    assert await chat.incoming(2) == ["Hello", "after them"]
    message = await chat.message(last)
    assert (message.status, message.attempts, message.read_at is not None) == ("read", 0, True)


def kinds() -> list[object]:
    """Return every class of errors of every gateway that has it."""
    return [
        pytest.param(gateway, kind, id=f"{gateway}-{code}")
        for gateway in GATEWAYS
        for kind in CLASSES
        if (code := kind.code(gateway))
    ]


@pytest.mark.parametrize(("opened", "kind"), kinds(), indirect=["opened"])
async def test_an_error_stops_what_its_scope_names_and_no_more(world: World, kind: ErrorClass) -> None:
    chat, beside = await new_chat(world, stranger=kind.stranger), await new_chat(world)
    code = kind.code(world.name) or ""
    lasts = kind.effect in {Effect.CHAT, Effect.NUMBER}
    await world.refuse(code, to=chat.contact, count=ALWAYS if lasts else kind.times)
    content = TemplateContent(name="offer", language="en") if kind.scope is Scope.TEMPLATE else "one"

    (first,) = await chat.send(content)
    if kind.effect is not Effect.AGAIN:
        await chat.stopped(first, code)
    (following,), (other,) = await chat.send("two"), await beside.send("beside")

    if kind.effect is Effect.NUMBER:
        lane = await world.application.queues.outbound.groups.stats("shop")
        assert lane.why is Waits.REST
        assert [(await beside.message(other)).status.value, await beside.screen()] == ["queued", []]
    else:
        await beside.settled(other, *DONE)
    if kind.effect in {Effect.FAILED, Effect.ALONE}:
        await chat.settled(following, *DONE)
    contact = contact_hold((await chat.message(first)).contact_id)
    assert await held(world, "shop") == {(contact if what == "contact" else what, only) for what, only in kind.holds}
    assert await held(world, KIOSK) == (
        set(kind.holds) if kind.scope is Scope.ACCOUNT and world.name == "cloud" else set()
    )
    if kind.effect is not Effect.AGAIN:  # or it would not be refused as often as it is to be
        await world.recover()

    message = await chat.settled(first, *(("failed",) if kind.effect is Effect.FAILED else DONE))
    for chat_of, message_id in ((chat, following), (beside, other)):
        assert (await chat_of.settled(message_id, *DONE)).attempts == 0
    assert message.attempts == kind.charged
    shown = {Effect.FAILED: ["two"], Effect.ALONE: ["two", shown_as(content)]}
    assert await chat.screen() == shown.get(kind.effect, ["one", "two"])
    assert await beside.screen() == ["beside"]
    if kind.effect is Effect.FAILED:
        assert message.failure_code == code


def shown_as(content: TemplateContent | str) -> str:
    return content if isinstance(content, str) else content.name


async def held(world: World, number: str) -> set[tuple[str, bool]]:
    """Return what of a number is held in the database, and whether for campaigns alone."""
    holds = await world.application.cloud_numbers.holds(world.organization_id, number)
    return {(hold.what, hold.campaigns_only) for hold in holds}


async def test_an_answer_that_is_lost_in_mid_send_shows_the_message_once(world: World) -> None:
    chat = await new_chat(world)
    await world.lose_answer(chat.contact)
    sent = await chat.send("one", "two")

    for message_id in sent:
        await chat.settled(message_id, *DONE)
    assert await chat.screen() == ["one", "two"]


async def test_what_stands_between_is_killed_and_nothing_is_lost_or_seen_twice(world: World) -> None:
    chat = await new_chat(world)
    sent = await chat.send(*(f"out {number}" for number in range(4)))
    for number in range(4):
        await chat.write(f"in {number}")
    await world.kill()
    sent += await chat.send("out 4")
    await chat.write("in 4")

    for message_id in sent:
        await chat.settled(message_id, *DONE)
    assert await chat.screen() == [f"out {number}" for number in range(5)]
    assert await chat.incoming(6) == ["Hello", *(f"in {number}" for number in range(5))]
