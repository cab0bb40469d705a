"""Campaigns: one message per recipient, and numbers that add up at every moment."""

import asyncio
from uuid import UUID, uuid4

import pytest

from berrante.engine import Snooze, State, Unrecoverable
from berrante.gateways.protocol import Action, InDoubt, Scope, SendError
from berrante.messaging.campaigns import Campaign
from berrante.messaging.campaigns import handler as campaign_handler
from berrante.messaging.errors import Invalid, Missing, WrongState
from berrante.messaging.instances import Instances
from berrante.messaging.messages import MessageStatus
from berrante.messaging.organizations import Organizations
from berrante.messaging.queues import QueueName
from tests.messaging.platform import Platform
from tests.waiting import until

CAMPAIGN = QueueName.CAMPAIGN


def _numbers(count: int) -> list[str]:
    return [f"+55119000{number:05}" for number in range(count)]


async def _make(platform: Platform, count: int = 3, instance_id: str = "sales") -> Campaign:
    return await platform.campaigns.create(
        organization_id=platform.organization.id,
        instance_id=instance_id,
        name="Launch",
        body="We are open",
        recipients=_numbers(count),
    )


def _tick(platform: Platform, campaign_id: UUID) -> dict[str, str]:
    return {
        "organizationId": str(platform.organization.id),
        "instanceId": "sales",
        "campaignId": str(campaign_id),
    }


async def test_every_recipient_gets_one_message_and_the_counts_add_up_all_the_way(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign_handler, "SETTLING_MS", 20)
    campaign = await _make(platform, 40)
    organization_id = platform.organization.id
    drop = SendError("no", scope=Scope.RECIPIENT, action=Action.DROP, code="131026")
    platform.gateway.answers.extend([drop, drop, InDoubt("lost")])
    platform.work()
    await platform.campaigns.start(organization_id, campaign.id)

    async def is_done() -> bool:
        progress = await platform.campaigns.progress(organization_id, campaign.id)
        assert progress.total == progress.planned == 40
        current = await platform.campaigns.get(organization_id, campaign.id)
        assert current is not None
        return current.status == "done"

    await until(is_done, timeout_s=30)
    progress = await platform.campaigns.progress(organization_id, campaign.id)
    assert (progress.sent, progress.failed, progress.in_doubt, progress.open) == (37, 2, 1, 0)
    assert sorted(message.to for message in platform.gateway.sent) == _numbers(40)
    assert {(message.origin, message.priority) for message in await platform.outgoing()} == {("campaign", 5)}


async def test_a_campaign_writes_to_one_recipient_per_run_in_order(platform: Platform) -> None:
    campaign = await _make(platform, 2)
    await platform.campaigns.start(platform.organization.id, campaign.id)
    tick = _tick(platform, campaign.id)

    assert await platform.handle(CAMPAIGN, "tick", tick) == Snooze(0)
    assert [message.address for message in await platform.outgoing()] == _numbers(1)
    assert await platform.handle(CAMPAIGN, "tick", tick) == Snooze(0)
    assert [message.address for message in await platform.outgoing()] == _numbers(2)
    assert await platform.handle(CAMPAIGN, "tick", tick) == Snooze(10_000)
    assert (await platform.queues.outbound.counts())[State.PRIORITIZED] == 2


async def test_ticks_that_run_at_once_write_to_different_recipients(platform: Platform) -> None:
    campaign = await _make(platform, 5)
    await platform.campaigns.start(platform.organization.id, campaign.id)

    await asyncio.gather(*(platform.handle(CAMPAIGN, "tick", _tick(platform, campaign.id)) for _ in range(8)))

    assert sorted(message.address for message in await platform.outgoing()) == _numbers(5)


async def test_a_campaign_is_not_done_while_a_message_is_open(platform: Platform) -> None:
    campaign = await _make(platform, 1)
    await platform.campaigns.start(platform.organization.id, campaign.id)
    tick = _tick(platform, campaign.id)
    await platform.handle(CAMPAIGN, "tick", tick)
    assert await platform.handle(CAMPAIGN, "tick", tick) == Snooze(10_000)

    (message,) = await platform.outgoing()
    await platform.handle(QueueName.OUTBOUND, "send", platform.send_data(message.id))
    assert await platform.handle(CAMPAIGN, "tick", tick) == {"status": "done"}


async def test_a_draft_does_not_send(platform: Platform) -> None:
    campaign = await _make(platform)
    assert await platform.handle(CAMPAIGN, "tick", _tick(platform, campaign.id)) == {"status": "draft"}
    assert await platform.outgoing() == []


async def test_starting_twice_is_one_job(platform: Platform) -> None:
    campaign = await _make(platform)
    for _ in range(2):
        assert (await platform.campaigns.start(platform.organization.id, campaign.id)).status == "running"
    assert [job.id for job in await platform.queues.campaign.jobs([State.WAITING])] == [f"campaign-{campaign.id}"]


async def test_cancelling_skips_whoever_was_not_written_to(platform: Platform) -> None:
    campaign = await _make(platform, 4)
    organization_id = platform.organization.id
    await platform.campaigns.start(organization_id, campaign.id)
    tick = _tick(platform, campaign.id)
    for _ in range(2):
        await platform.handle(CAMPAIGN, "tick", tick)
    first, second = await platform.outgoing()
    await platform.handle(QueueName.OUTBOUND, "send", platform.send_data(first.id))

    await platform.campaigns.cancel(organization_id, campaign.id)

    progress = await platform.campaigns.progress(organization_id, campaign.id)
    assert (progress.sent, progress.skipped, progress.total) == (1, 3, 4)
    assert await platform.handle(CAMPAIGN, "tick", tick) == {"status": "cancelled"}
    send = platform.send_data(second.id)
    assert await platform.handle(QueueName.OUTBOUND, "send", send) == {"status": "skipped"}
    assert len(platform.gateway.sent) == 1
    with pytest.raises(WrongState, match="is cancelled, and has to be draft or running"):
        await platform.campaigns.start(organization_id, campaign.id)


async def test_a_message_that_was_held_is_not_sent_once_its_campaign_is_cancelled(platform: Platform) -> None:
    campaign = await _make(platform, 1)
    await platform.campaigns.start(platform.organization.id, campaign.id)
    await platform.handle(CAMPAIGN, "tick", _tick(platform, campaign.id))
    (message,) = await platform.outgoing()
    answered = asyncio.Event()

    class Holding(type(platform.gateway)):  # type: ignore[misc]
        async def send(self, message: object) -> object:
            await super().send(message)
            raise SendError("wait", scope=Scope.RECIPIENT, action=Action.HOLD, code="131056", retry_after_ms=10)

    holding = Holding()
    holding.answers.append(answered)
    handler = platform.handlers({"simulator": holding})[QueueName.OUTBOUND]
    send = platform.send_data(message.id)
    sending = asyncio.create_task(platform.handle(QueueName.OUTBOUND, "send", send, handler=handler))
    await holding.entered.wait()
    await platform.campaigns.cancel(platform.organization.id, campaign.id)
    answered.set()
    assert await sending == Snooze(10)
    assert (await platform.message(message.id)).status is MessageStatus.QUEUED

    assert await platform.handle(QueueName.OUTBOUND, "send", send) == {"status": "skipped"}
    assert platform.gateway.sent == []


async def test_cancel_and_ticks_at_once_lose_nobody(platform: Platform) -> None:
    campaign = await _make(platform, 10)
    organization_id = platform.organization.id
    await platform.campaigns.start(organization_id, campaign.id)
    ticks = [platform.handle(CAMPAIGN, "tick", _tick(platform, campaign.id)) for _ in range(6)]

    await asyncio.gather(*ticks[:3], platform.campaigns.cancel(organization_id, campaign.id), *ticks[3:])

    progress = await platform.campaigns.progress(organization_id, campaign.id)
    assert progress.skipped == progress.total == progress.planned == 10


async def test_a_number_given_twice_is_written_to_once(platform: Platform) -> None:
    campaign = await platform.campaigns.create(
        organization_id=platform.organization.id,
        instance_id="sales",
        name="Launch",
        body="Hi",
        recipients=["+55 11 99999-0001", "5511999990001", "5511999990001@s.whatsapp.net"],
    )
    assert (await platform.campaigns.progress(platform.organization.id, campaign.id)).planned == 1


async def test_a_large_campaign_keeps_the_order_over_all_chunks(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("berrante.messaging.campaigns.service._CHUNK", 3)
    campaign = await _make(platform, 8)
    await platform.campaigns.start(platform.organization.id, campaign.id)
    for _ in range(8):
        await platform.handle(CAMPAIGN, "tick", _tick(platform, campaign.id))
    assert [message.address for message in await platform.outgoing()] == _numbers(8)


async def test_malformed_campaigns_are_refused_with_the_remedy(platform: Platform) -> None:
    async def create(**change: object) -> None:
        given = {"instance_id": "sales", "name": "X", "body": "Hi", "recipients": _numbers(1)} | change
        await platform.campaigns.create(organization_id=platform.organization.id, **given)  # type: ignore[arg-type]

    with pytest.raises(Invalid, match=r"recipients\[1\] 'abc' is not a phone number"):
        await create(recipients=["+5511999990001", "abc"])
    with pytest.raises(Invalid, match="recipients is empty"):
        await create(recipients=[])
    with pytest.raises(Invalid, match="body is empty"):
        await create(body="")
    with pytest.raises(Missing, match="no such instance"):
        await create(instance_id="nowhere")


async def test_another_tenants_campaign_is_out_of_reach(platform: Platform) -> None:
    campaign = await _make(platform)
    await platform.campaigns.start(platform.organization.id, campaign.id)
    other = await Organizations(platform.database).create("Other")
    await Instances(platform.database).create(organization_id=other.id, id="theirs")

    assert await platform.campaigns.get(other.id, campaign.id) is None
    for call in (platform.campaigns.start, platform.campaigns.cancel, platform.campaigns.progress):
        with pytest.raises(Missing):
            await call(other.id, campaign.id)
    theirs = {"organizationId": str(other.id), "instanceId": "theirs"}
    for change in (theirs, {"organizationId": str(other.id)}, {"campaignId": str(uuid4())}):
        with pytest.raises(Unrecoverable):
            await platform.handle(CAMPAIGN, "tick", _tick(platform, campaign.id) | change)
    with pytest.raises(Missing):
        await platform.campaigns.create(
            organization_id=other.id, instance_id="sales", name="X", body="X", recipients=_numbers(1)
        )
