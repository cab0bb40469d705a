"""SIGKILL of the sidecar on chosen lines: no message is lost, none is seen twice."""

import pytest

from berrante.messaging.queues import QueueName
from tests.gateways.baileys.conftest import OpenSidecar, pair
from tests.gateways.baileys.fake_whatsapp import FakeWhatsApp
from tests.gateways.baileys.sidecar import Sidecar
from tests.gateways.baileys.test_conversations import ANA, incoming
from tests.gateways.baileys.test_errors import until_read
from tests.messaging.platform import Platform
from tests.waiting import until


@pytest.mark.parametrize("line", ["after-journal", "before-enqueue", "before-receipt"])
@pytest.mark.parametrize("group", [None, "120363000000000001@g.us"])
async def test_killed_with_a_message_half_way_in_it_comes_in_once(
    open_sidecar: OpenSidecar, whatsapp: FakeWhatsApp, platform: Platform, line: str, group: str | None
) -> None:
    platform.work(QueueName.MESSAGE, concurrency=1)
    async with open_sidecar(die_at=line) as made:
        await pair(made, whatsapp, platform)
        made.live()
        await whatsapp.write(ANA, "do not lose me", group=group)
        await until(lambda: made.events("sidecar.died"), timeout_s=30)
        await made.ready()
        await made.until_state("open")
        await whatsapp.write(ANA, "the last")

        stored = await incoming(platform, 2)

    assert [message.content["text"] for message in stored] == ["do not lose me", "the last"]
    assert not made.events("alert"), "it was decrypted before: its second delivery is no trouble"
    assert await platform.count("baileys_journal") == 0


async def test_killed_between_acknowledgement_and_answer_the_message_is_seen_once(
    open_sidecar: OpenSidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    async with open_sidecar(die_at="before-answer") as made:
        await pair(made, whatsapp, platform)
        made.live()
        platform.work(gateways={"baileys": made.gateway})

        message_id = await platform.outbound({"baileys": made.gateway}).send(
            organization_id=platform.organization.id, instance_id="sales", to=f"+{ANA}", text="once"
        )

        message = await until_read(platform, message_id)
    assert made.events("sidecar.died")
    assert message.attempts == 0
    assert [(entry["id"], entry["text"]) for entry in await whatsapp.seen()] == [(message.wire_id, "once")]


async def test_killed_at_any_moment_nothing_is_lost_and_nothing_is_seen_twice(
    paired: Sidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    platform.work(gateways={"baileys": paired.gateway})
    send = platform.outbound({"baileys": paired.gateway}).send
    texts = [f"message {number}" for number in range(12)]

    for number, text in enumerate(texts):
        await send(organization_id=platform.organization.id, instance_id="sales", to=f"+{ANA}", text=text)
        await whatsapp.write(ANA, text)
        if number % 5 == 4:
            await paired.kill()
            await paired.ready()
    for message in await platform.outgoing():
        await until_read(platform, message.id)

    assert sorted(await whatsapp.texts()) == sorted(texts)
    assert sorted(message.content["text"] for message in await incoming(platform, 12)) == sorted(texts)
