"""The whole way, with the simulated WhatsApp and real workers: a contact writes, and sees one answer."""

import asyncio

from berrante.gateways.simulator import Habits, Simulator
from berrante.messaging.messages import MessageStatus
from berrante.messaging.queues import QueueName
from tests.messaging.platform import Platform
from tests.waiting import until


async def test_a_contact_writes_and_reads_one_answer(platform: Platform) -> None:
    simulator = Simulator(platform.intake, latency_ms=1, habits=Habits(reading=1))
    await platform.automations.create(
        organization_id=platform.organization.id, name="Prices", keywords=["preço"], reply="R$ 10"
    )
    platform.work(gateways={"simulator": simulator})
    simulating = asyncio.create_task(simulator.run())
    event = simulator.write(
        organization_id=platform.organization.id,
        instance_id="sales",
        sender="+5511999990001",
        text="Qual o PRECO?",
        sender_name="Ana",
    )

    async def has_read() -> bool:
        return [message.status for message in await platform.outgoing()] == [MessageStatus.READ]

    await until(has_read, timeout_s=30)
    await platform.intake([event, event])  # the webhook tells it again
    await platform.finished(QueueName.MESSAGE, f"sales-{event.message_id}-{event.sent_at_ms}".replace(":", "-"))
    simulating.cancel()
    await asyncio.wait([simulating])

    assert [seen.body for seen in simulator.ledger["sales", "+5511999990001"]] == ["R$ 10"]
    (answer,) = await platform.outgoing()
    assert answer.sent_at is not None
    assert answer.delivered_at is not None
    assert answer.read_at is not None
    assert await platform.queues.dead_letters.count() == 0


async def test_a_campaign_reaches_every_contact_once(platform: Platform) -> None:
    simulator = Simulator(platform.intake, latency_ms=1, habits=Habits(reading=1))
    numbers = [f"+55119000{number:05}" for number in range(25)]
    campaign = await platform.campaigns.create(
        organization_id=platform.organization.id,
        instance_id="sales",
        name="Launch",
        body="We are open",
        recipients=numbers,
    )
    platform.work(gateways={"simulator": simulator})
    simulating = asyncio.create_task(simulator.run())
    await platform.campaigns.start(platform.organization.id, campaign.id)

    async def have_all_read() -> bool:
        progress = await platform.campaigns.progress(platform.organization.id, campaign.id)
        assert progress.total == progress.planned == 25
        return progress.read == 25

    await until(have_all_read, timeout_s=30)
    simulating.cancel()
    await asyncio.wait([simulating])
    assert [len(simulator.ledger["sales", number]) for number in numbers] == [1] * 25
