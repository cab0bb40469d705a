"""Each thing that can go wrong with a send: what it is about, what to do, and that nobody sees a message twice."""

import asyncio
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from berrante.gateways.baileys import Sidecars
from berrante.gateways.protocol import Action, InDoubt, LocationContent, OutboundMessage, Scope, SendError
from berrante.messaging.messages import Message, MessageStatus
from tests.gateways.baileys.conftest import OpenSidecar, pair
from tests.gateways.baileys.fake_whatsapp import NUMBER, FakeWhatsApp
from tests.gateways.baileys.sidecar import TOKEN, Sidecar, gateway_over
from tests.gateways.baileys.test_conversations import ANA, BENTO, outgoing
from tests.messaging.platform import Platform
from tests.waiting import until


async def refused(made: Sidecar, platform: Platform, to: str = ANA) -> SendError:
    with pytest.raises(SendError) as caught:
        await made.gateway.send(outgoing(platform, made, to=to))
    return caught.value


async def until_read(platform: Platform, message_id: UUID) -> Message:
    async def is_read() -> bool:
        return (await platform.message(message_id)).status is MessageStatus.READ

    await until(is_read, timeout_s=40)
    return await platform.message(message_id)


async def test_whatsapps_codes_have_a_scope_and_an_action(
    paired: Sidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    meant = {
        "463": (Scope.RECIPIENT, Action.DROP),
        "429": (Scope.NUMBER, Action.HOLD),
        "479": (Scope.MESSAGE, Action.RETRY),
        "403": (Scope.NUMBER, Action.HOLD),
        "400": (Scope.MESSAGE, Action.DROP),
        "503": (Scope.NUMBER, Action.HOLD),
        "999": (Scope.MESSAGE, Action.RETRY),
    }
    got = {}
    for code in meant:
        await whatsapp.fault("refuse", code=code)
        error = await refused(paired, platform)
        assert error.code == code
        got[code] = (error.scope, error.action)

    assert got == meant
    assert await whatsapp.seen() == []
    await paired.gateway.send(outgoing(platform, paired, "at last"))
    assert await whatsapp.texts() == ["at last"]


async def test_who_is_not_on_whatsapp_is_not_written_to_again(paired: Sidecar, platform: Platform) -> None:
    error = await refused(paired, platform, to="5511988887777")

    assert (error.scope, error.action, error.code) == (Scope.RECIPIENT, Action.SUPPRESS, "not_on_whatsapp")


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "no_ack"])
async def test_a_link_that_breaks_in_mid_send_holds_the_number_and_shows_the_message_once(
    paired: Sidecar, whatsapp: FakeWhatsApp, platform: Platform, kind: str
) -> None:
    await whatsapp.fault(kind)
    platform.work(gateways={"baileys": paired.gateway})
    send = platform.outbound({"baileys": paired.gateway}).send

    messages = [
        await send(organization_id=platform.organization.id, instance_id="sales", to=f"+{to}", text=text)
        for to, text in ((ANA, "one"), (BENTO, "two"))
    ]

    for message_id in messages:
        message = await until_read(platform, message_id)
        assert message.attempts == 0, "it was not the message's fault"
    assert sorted(await whatsapp.texts()) == ["one", "two"]


async def test_silence_about_one_message_again_and_again_is_doubt(
    open_sidecar: OpenSidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    await whatsapp.order("tells", tells=False)  # a receipt would prove that it was sent
    async with open_sidecar(ack_ms=2_000) as made:
        await pair(made, whatsapp, platform)
        await made.gateway.send(outgoing(platform, made, "the chat is known"))
        message = outgoing(platform, made)
        await whatsapp.fault("no_ack", count=100)

        codes: list[str] = []
        while not codes or codes[-1] != "doubt":
            codes.append(await _outcome(made, message))
            await made.until_state("open")

    assert codes.count("no_ack") == 2
    assert set(codes) <= {"no_ack", "offline", "link_dropped", "doubt"}


async def _outcome(made: Sidecar, message: OutboundMessage) -> str:
    try:
        await made.gateway.send(message)
    except SendError as error:
        return error.code
    except InDoubt:
        return "doubt"
    return "sent"


async def test_a_slow_server_is_waited_for(paired: Sidecar, whatsapp: FakeWhatsApp, platform: Platform) -> None:
    await whatsapp.fault("slow", ms=300)
    message = outgoing(platform, paired)

    # Asked twice at once, it is one send.
    await asyncio.gather(paired.gateway.send(message), paired.gateway.send(message))

    assert [entry["copies"] for entry in await whatsapp.seen()] == [1]


async def test_a_number_that_was_replaced_never_fights(
    paired: Sidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    await whatsapp.order("close", user=NUMBER, code=440)
    await paired.until_state("elsewhere")

    error = await refused(paired, platform)

    assert (error.scope, error.action, error.code) == (Scope.NUMBER, Action.HOLD, "elsewhere")
    assert not (await whatsapp.account())["connected"]
    await paired.sidecars.connect("sales", organization_id=platform.organization.id)
    await paired.until_state("open")


async def test_a_number_that_was_unlinked_on_its_phone_is_wiped(
    paired: Sidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    await whatsapp.order("close", user=NUMBER, code=401)
    await paired.until_state("logged_out")

    assert (await refused(paired, platform)).code == "logged_out"
    assert await platform.count("baileys_keys") == 0
    await pair(paired, whatsapp, platform)
    await paired.gateway.send(outgoing(platform, paired, "linked anew"))
    assert await whatsapp.texts() == ["linked anew"]


async def test_logging_out_wipes_what_could_open_the_account(paired: Sidecar, platform: Platform) -> None:
    status = await paired.sidecars.log_out("sales")

    assert status.state == "absent"
    assert await platform.count("baileys_keys") == 0
    async with platform.database.begin() as connection:
        row = (await connection.exec_driver_sql("SELECT creds, paired FROM baileys_sessions")).one()
    assert tuple(row) == (None, False)


async def test_a_number_that_was_never_connected_waits(open_sidecar: OpenSidecar, platform: Platform) -> None:
    async with open_sidecar() as made:
        error = await refused(made, platform)

    assert (error.scope, error.action, error.code) == (Scope.NUMBER, Action.HOLD, "not_paired")


async def test_a_sidecar_that_is_away_or_has_another_token_holds_the_number(
    paired: Sidecar, platform: Platform
) -> None:
    codes = []
    for address, token in (("http://127.0.0.1:9", TOKEN), (paired.url, "another")):
        async with Sidecars([address], token=token) as sidecars:
            with pytest.raises(SendError) as caught:
                await gateway_over(sidecars).send(outgoing(platform, paired))
            assert (caught.value.scope, caught.value.action) == (Scope.NUMBER, Action.HOLD)
            codes.append(caught.value.code)

    assert codes == ["sidecar_away", "sidecar_token"]


async def test_another_organizations_number_is_out_of_reach(
    paired: Sidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    with pytest.raises(SendError):
        await paired.gateway.send(replace(outgoing(platform, paired), organization_id=uuid4()))

    assert await whatsapp.seen() == []


async def test_what_a_number_on_baileys_cannot_send_is_refused_before_the_sidecar_is_asked() -> None:
    gateway = gateway_over(Sidecars(["http://127.0.0.1:9"], token=TOKEN))
    message = OutboundMessage(
        organization_id=uuid4(),
        instance_id="sales",
        message_id=uuid4(),
        wire_id="3EB0",
        to="+5511999990001",
        content=LocationContent(latitude=-23.5, longitude=-46.6),
    )
    with pytest.raises(SendError, match="sends texts and files, not location: send one") as refused:
        await gateway.send(message)
    assert (refused.value.scope, refused.value.action) == (Scope.MESSAGE, Action.DROP)
