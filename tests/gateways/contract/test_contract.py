"""What every gateway keeps, whatever goes wrong: nothing lost, nothing seen twice, order per chat.

One suite over the simulator, the Cloud API (before the stand-in Graph) and Baileys (before the stand-in WhatsApp Web),
each with the whole product in front of it.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from berrante.gateways.protocol import TextContent
from berrante.messaging.messages import Message
from tests.gateways.baileys.conftest import installed
from tests.gateways.contract.worlds import CONTACT, Engines, World, baileys, cloud, simulated
from tests.waiting import until

__all__ = ["installed"]
GATEWAYS = ["simulator", "cloud", "baileys"]


@pytest_asyncio.fixture(params=GATEWAYS)
async def world(
    request: pytest.FixtureRequest, redis_url: str, database_url: str, prefix: str, tmp_path: Path
) -> AsyncIterator[World]:
    """One number whose contact wrote once, so that it may be answered on every gateway."""
    engines = Engines(redis_url=redis_url, database_url=database_url, prefix=prefix, folder=tmp_path)
    match request.param:
        case "baileys":
            opened = baileys(engines, request.getfixturevalue("installed"))
        case name:
            opened = {"simulator": simulated, "cloud": cloud}[name](engines)
    async with opened as made:
        await made.write("Hello")
        await incoming(made, 1)
        yield made


async def incoming(world: World, count: int) -> list[str]:
    async def stored() -> list[str]:
        listed = await world.application.messages.list(world.organization_id, 500)
        found = [message.content["text"] for message in reversed(listed) if message.direction == "in"]
        return found if len(found) >= count else []

    return await until(stored, timeout_s=40)


async def send(world: World, *texts: str) -> list[UUID]:
    number = {"organization_id": world.organization_id, "instance_id": "shop", "to": f"+{CONTACT}"}
    outbound = world.application.outbound
    return [await outbound.send(**number, content=TextContent(body=text)) for text in texts]


async def settled(world: World, message_id: UUID, *statuses: str) -> Message:
    async def has_one() -> Message | None:
        message = await world.application.messages.get(world.organization_id, message_id)
        return message if message is not None and message.status.value in statuses else None

    found = await until(has_one, timeout_s=60)
    assert found is not None
    return found


DONE = ("sent", "delivered", "read")


async def test_what_a_contact_writes_comes_in_once_and_in_order_however_often_it_is_delivered(world: World) -> None:
    for stored, (text, copies) in enumerate([("one", 1), ("two", 3), ("three", 2)], start=2):
        await world.write(text, copies=copies)
        await incoming(world, stored)
    await world.write("the last")

    assert await incoming(world, 5) == ["Hello", "one", "two", "three", "the last"]


async def test_what_we_send_is_seen_once_and_in_order_and_its_receipts_are_stored(world: World) -> None:
    for text in ("one", "two", "three"):
        (last,) = await send(world, text)
        message = await settled(world, last, *DONE)

    assert await world.screen() == ["one", "two", "three"]
    # Out of order and twice: a receipt never takes back what a later one said.
    await world.tell(message, "read", "delivered", "read", "delivered")
    message = await settled(world, last, "read")
    assert message.attempts == 0


async def test_what_is_refused_for_good_is_failed_and_the_next_goes_on(world: World) -> None:
    await world.refuse()
    (refused,) = await send(world, "refused")
    await settled(world, refused, "failed")
    (following,) = await send(world, "following")

    await settled(world, following, *DONE)
    assert await world.screen() == ["following"]


async def test_what_is_held_uses_no_attempt_and_goes_out_once(world: World) -> None:
    await world.hold()
    sent = await send(world, "one", "two", "three")
    messages = [await settled(world, message_id, *DONE) for message_id in sent]

    assert await world.screen() == ["one", "two", "three"]
    assert [message.attempts for message in messages] == [0, 0, 0]


async def test_an_answer_that_is_lost_in_mid_send_shows_the_message_once(world: World) -> None:
    await world.lose_answer()
    sent = await send(world, "one", "two")

    for message_id in sent:
        await settled(world, message_id, *DONE)
    assert await world.screen() == ["one", "two"]


async def test_what_stands_between_is_killed_and_nothing_is_lost_or_seen_twice(world: World) -> None:
    sent = await send(world, *(f"out {number}" for number in range(4)))
    for number in range(4):
        await world.write(f"in {number}")
    await world.kill()
    sent += await send(world, "out 4")
    await world.write("in 4")

    for message_id in sent:
        await settled(world, message_id, *DONE)
    assert await world.screen() == [f"out {number}" for number in range(5)]
    assert await incoming(world, 6) == ["Hello", *(f"in {number}" for number in range(5))]
