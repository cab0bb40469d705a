"""Real Baileys, paired with the fake: what contacts write comes in, and what we send they see."""

from typing import Any

import pytest

from berrante.gateways.protocol import OutboundMessage, TextContent
from berrante.messaging.messages import Message, MessageStatus
from berrante.messaging.queues import QueueName
from berrante.store import new_id
from tests.gateways.baileys.conftest import OpenSidecar, pair
from tests.gateways.baileys.fake_whatsapp import FakeWhatsApp
from tests.gateways.baileys.sidecar import Sidecar
from tests.messaging.platform import Platform
from tests.redis_contents import everything_in
from tests.waiting import until

ANA, BENTO = "5511999990001", "5511999990002"


def outgoing(platform: Platform, made: Sidecar, text: str = "Hello", to: str = ANA) -> OutboundMessage:
    message_id = new_id()
    return OutboundMessage(
        organization_id=platform.organization.id,
        instance_id="sales",
        message_id=message_id,
        wire_id=made.gateway.wire_id(message_id),
        to=f"+{to}",
        content=TextContent(body=text),
    )


async def incoming(platform: Platform, count: int) -> list[Message]:
    """Wait until so many messages are stored, and return them, the oldest first."""

    async def stored() -> list[Message]:
        found = [
            m for m in reversed(await platform.messages.list(platform.organization.id, 500)) if m.direction == "in"
        ]
        return found if len(found) >= count else []

    return await until(stored, timeout_s=30)


async def test_a_contact_writes_and_an_automation_answers(
    paired: Sidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    await platform.automations.create(
        organization_id=platform.organization.id, name="Price", trigger="keyword", keywords=["preço"], reply="R$ 42"
    )
    platform.work(gateways={"baileys": paired.gateway})

    await whatsapp.write(ANA, "Qual é o preço?", name="Ana")

    async def is_read() -> bool:
        return [m.status for m in await platform.outgoing()] == [MessageStatus.READ]

    await until(is_read, timeout_s=30)
    assert await whatsapp.texts(ANA) == ["R$ 42"]
    (question,) = await incoming(platform, 1)
    assert (question.address, question.content) == (f"+{ANA}", {"type": "text", "text": "Qual é o preço?"})


async def test_what_we_send_is_acknowledged_seen_and_read(
    paired: Sidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    platform.work(gateways={"baileys": paired.gateway})

    message_id = await platform.outbound({"baileys": paired.gateway}).send(
        organization_id=platform.organization.id, instance_id="sales", to=f"+{ANA}", text="Bom dia"
    )

    message = await platform.until_status(message_id, MessageStatus.READ)
    assert message.wire_id == message.provider_id == paired.gateway.wire_id(message_id)
    assert [(entry["id"], entry["text"], entry["copies"]) for entry in await whatsapp.seen()] == [
        (message.wire_id, "Bom dia", 1)
    ]
    assert message.delivered_at is not None


@pytest.mark.parametrize(
    "order",
    [
        pytest.param({"hidden": True}, id="from a hidden number that comes with its number"),
        pytest.param({"copies": 3}, id="delivered three times over"),
        pytest.param({"anew": True}, id="encrypted anew under the same id"),
    ],
)
async def test_a_message_is_stored_once_under_its_number(
    paired: Sidecar, whatsapp: FakeWhatsApp, platform: Platform, order: dict[str, Any]
) -> None:
    platform.work(QueueName.MESSAGE, concurrency=1)

    message_id = await whatsapp.write(ANA, "Oi", **order)
    await whatsapp.write(ANA, "the last")

    stored = {message.content["text"]: message for message in await incoming(platform, 2)}
    assert sorted(stored) == ["Oi", "the last"]
    assert (stored["Oi"].wire_id, stored["Oi"].address) == (message_id, f"+{ANA}")


async def test_what_is_written_while_the_number_is_away_comes_in_when_it_is_back(
    open_sidecar: OpenSidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    platform.work(QueueName.MESSAGE)
    async with open_sidecar() as made:
        await pair(made, whatsapp, platform)
    await whatsapp.write(ANA, "while you were away")

    async with open_sidecar() as made:
        await made.until_state("open")
        (message,) = await incoming(platform, 1)

    assert message.content["text"] == "while you were away"
    assert (await whatsapp.account())["waiting"] == []


async def test_groups_and_media_come_in_and_nothing_answers_a_group(
    paired: Sidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    await platform.automations.create(
        organization_id=platform.organization.id, name="Any", trigger="any", reply="Hello"
    )
    platform.work(QueueName.MESSAGE, concurrency=1)
    group = "120363000000000001@g.us"
    picture = {"imageMessage": {"caption": "look", "mimetype": "image/jpeg", "fileLength": 1234}}

    await whatsapp.write(ANA, "Bom dia, grupo", group=group)
    await whatsapp.write(ANA, "Mais uma", group=group)
    await whatsapp.write(BENTO, "", message=picture)

    contents = [(m.address, m.content) for m in await incoming(platform, 3)]
    assert contents[:2] == [
        (f"+{ANA}", {"type": "group_text", "text": "Bom dia, grupo", "group": group}),
        (f"+{ANA}", {"type": "group_text", "text": "Mais uma", "group": group}),
    ]
    assert contents[2] == (
        f"+{BENTO}",
        {"type": "image", "image": {"caption": "look", "mime_type": "image/jpeg", "size": 1234}},
    )
    assert await platform.count("automation_runs") == 1, "the picture's alone"


async def test_a_message_that_cannot_be_decrypted_raises_an_alert(paired: Sidecar, whatsapp: FakeWhatsApp) -> None:
    await whatsapp.write(ANA, "first")
    message_id = await whatsapp.write(ANA, "broken", garbled=True)

    async def alerts() -> list[str]:
        return [alert["detail"] for alert in (await paired.sidecars.status("sales")).alerts]

    (detail,) = await until(alerts)
    assert message_id in detail
    assert [line.fields["kind"] for line in paired.events("alert")] == ["undecryptable"]


async def test_connected_but_silent_raises_an_alert(
    open_sidecar: OpenSidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    await whatsapp.order("tells", tells=False)
    async with open_sidecar(silent_ms=100) as made:
        await pair(made, whatsapp, platform)
        await made.gateway.send(outgoing(platform, made))

        alert = (await until(lambda: made.events("alert")))[0]

    assert alert.fields["kind"] == "connected_but_silent"


async def test_no_key_and_no_text_reaches_the_log_or_the_tables(
    paired: Sidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    platform.work(QueueName.MESSAGE)
    await whatsapp.write(ANA, "um segredo")
    await incoming(platform, 1)
    await paired.gateway.send(outgoing(platform, paired, "outro segredo"))
    for _ in range(2):  # libsignal tells closed sessions, keys included, to the console
        await whatsapp.write(ANA, "mais", anew=True)
    await incoming(platform, 3)

    said = repr(paired.said)
    async with platform.database.begin() as connection:
        rows = (await connection.exec_driver_sql("SELECT value FROM baileys_keys")).all()
        creds = (await connection.exec_driver_sql("SELECT creds FROM baileys_sessions")).scalar_one()

    assert "segredo" not in said
    assert not [word for word in ("privKey", "rootKey", "<Buffer", "SessionEntry") if word in said]
    assert len(rows) > 800
    assert not [True for (value,) in rows if b"Buffer" in value or b"private" in value]
    assert b"noiseKey" not in creds

    # Redis holds what came in, as the jobs that brought it, and of the account nothing, sealed or open.
    stored = b"\n".join(await everything_in(platform.queues.connection, f"{platform.prefix}*"))
    words = (b"noiseKey", b"privKey", b"rootKey", b"outro segredo", creds)
    assert [word for word in words if word in stored] == []
    assert not [True for (value,) in rows if value in stored]
    assert b"um segredo" in stored
