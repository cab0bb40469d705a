"""Campaigns: one message per recipient, and numbers that add up at every moment."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from berrante.engine import Snooze, State, Unrecoverable
from berrante.engine.connection import system_clock
from berrante.gateways.protocol import Action, InDoubt, Scope, SendError
from berrante.messaging.campaigns import Campaign
from berrante.messaging.campaigns import handler as campaign_handler
from berrante.messaging.campaigns.life import IllegalMove
from berrante.messaging.campaigns.models import campaign_recipients
from berrante.messaging.campaigns.retrying import Retry
from berrante.messaging.clock import milliseconds, moment
from berrante.messaging.contacts import consent
from berrante.messaging.errors import Invalid, Missing
from berrante.messaging.instances import Instances
from berrante.messaging.messages import MessageStatus
from berrante.messaging.organizations import Organizations
from berrante.messaging.queues import QueueName
from berrante.messaging.reconciler import Swept
from tests.messaging.hooks import endpoint_at, log_of
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
        return current.status == "finished"

    await until(is_done, timeout_s=30)
    progress = await platform.campaigns.progress(organization_id, campaign.id)
    assert (progress.sent, progress.failed, progress.in_doubt, progress.open) == (37, 2, 1, 0)
    assert sorted(message.to for message in platform.gateway.sent) == _numbers(40)
    assert {(message.origin, message.priority) for message in await platform.outgoing()} == {("campaign", 5)}


async def test_a_draft_does_not_send(platform: Platform) -> None:
    campaign = await _make(platform)
    assert await platform.handle(CAMPAIGN, "tick", _tick(platform, campaign.id)) == {"status": "draft"}
    assert await platform.outgoing() == []


async def test_starting_twice_is_one_job(platform: Platform) -> None:
    campaign = await _make(platform)
    for _ in range(2):
        assert (await platform.campaigns.start(platform.organization.id, campaign.id)).status == "running"
    assert [job.id for job in await platform.queues.campaign.jobs([State.WAITING])] == [f"campaign-{campaign.id}"]


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


async def _run_until_written(platform: Platform, campaign_id: UUID, count: int) -> None:
    """Tick as a worker does, with time going on, until so many messages are written."""
    while len(await platform.outgoing()) < count:
        platform.ahead_ms += 5
        await platform.handle(CAMPAIGN, "tick", _tick(platform, campaign_id))


async def test_recipients_are_written_to_in_order_and_no_more_than_a_window_waits(platform: Platform) -> None:
    campaign = await _make(platform, 15)
    await platform.campaigns.start(platform.organization.id, campaign.id)

    await _run_until_written(platform, campaign.id, 10)
    for _ in range(3):
        platform.ahead_ms += 1_000
        assert isinstance(await platform.handle(CAMPAIGN, "tick", _tick(platform, campaign.id)), Snooze)
    assert [message.address for message in await platform.outgoing()] == _numbers(10)
    assert (await platform.queues.outbound.counts())[State.WAITING] == 10

    first = (await platform.outgoing())[0]
    await platform.handle(QueueName.OUTBOUND, "send", platform.send_data(first.id))
    await platform.handle(CAMPAIGN, "tick", _tick(platform, campaign.id))
    assert [message.address for message in await platform.outgoing()] == _numbers(11)


async def test_ticks_that_run_at_once_write_to_different_recipients(platform: Platform) -> None:
    campaign = await _make(platform, 5)
    await platform.campaigns.start(platform.organization.id, campaign.id)
    while len(await platform.outgoing()) < 5:
        platform.ahead_ms += 2
        await asyncio.gather(*(platform.handle(CAMPAIGN, "tick", _tick(platform, campaign.id)) for _ in range(6)))

    assert sorted(message.address for message in await platform.outgoing()) == _numbers(5)


async def test_a_campaign_is_not_finished_while_a_message_is_open(platform: Platform) -> None:
    campaign = await _make(platform, 1)
    await platform.campaigns.start(platform.organization.id, campaign.id)
    tick = _tick(platform, campaign.id)
    await platform.handle(CAMPAIGN, "tick", tick)
    assert isinstance(await platform.handle(CAMPAIGN, "tick", tick), Snooze)

    (message,) = await platform.outgoing()
    await platform.handle(QueueName.OUTBOUND, "send", platform.send_data(message.id))
    assert await platform.handle(CAMPAIGN, "tick", tick) == {"status": "finished"}


async def test_cancelling_skips_whoever_was_not_written_to(platform: Platform) -> None:
    campaign = await _make(platform, 4)
    organization_id = platform.organization.id
    await platform.campaigns.start(organization_id, campaign.id)
    await _run_until_written(platform, campaign.id, 2)
    first, *rest = await platform.outgoing()
    await platform.handle(QueueName.OUTBOUND, "send", platform.send_data(first.id))

    await platform.campaigns.cancel(organization_id, campaign.id)

    progress = await platform.campaigns.progress(organization_id, campaign.id)
    assert (progress.sent, progress.skipped, progress.total) == (1, 3, 4)
    assert await platform.handle(CAMPAIGN, "tick", _tick(platform, campaign.id)) == {"status": "cancelled"}
    for message in rest:
        send = platform.send_data(message.id)
        assert await platform.handle(QueueName.OUTBOUND, "send", send) == {"status": "skipped"}
    assert len(platform.gateway.sent) == 1
    with pytest.raises(IllegalMove, match="is cancelled, and has to be draft or scheduled for start") as caught:
        await platform.campaigns.start(organization_id, campaign.id)
    assert caught.value.legal == ()


async def test_a_pause_holds_what_waits_and_a_resume_sends_each_once(platform: Platform) -> None:
    campaign = await _make(platform, 6)
    organization_id = platform.organization.id
    await platform.campaigns.start(organization_id, campaign.id)
    await _run_until_written(platform, campaign.id, 3)
    waiting = await platform.outgoing()
    await platform.campaigns.pause(organization_id, campaign.id)

    for message in waiting:
        answer = await platform.handle(QueueName.OUTBOUND, "send", platform.send_data(message.id))
        assert answer == {"status": "queued", "held": True}
    assert await platform.handle(CAMPAIGN, "tick", _tick(platform, campaign.id)) == {"status": "paused"}
    assert platform.gateway.sent == []
    await platform.queues.outbound.drain()
    platform.ahead_ms += 3_600_000
    assert await platform.sweep() == Swept()  # the reconciler leaves it in peace

    platform.work(QueueName.OUTBOUND, QueueName.CAMPAIGN)
    await platform.campaigns.resume(organization_id, campaign.id)

    async def is_finished() -> bool:
        current = await platform.campaigns.get(organization_id, campaign.id)
        return current is not None and current.status == "finished"

    await until(is_finished, timeout_s=30)
    assert sorted(message.to for message in platform.gateway.sent) == _numbers(6)
    assert await platform.count("messages") == 6


async def test_a_held_message_of_a_job_that_completed_comes_back_after_a_resume(platform: Platform) -> None:
    campaign = await _make(platform, 1)
    organization_id = platform.organization.id
    await platform.campaigns.start(organization_id, campaign.id)
    await platform.handle(CAMPAIGN, "tick", _tick(platform, campaign.id))
    await platform.campaigns.pause(organization_id, campaign.id)
    platform.work(QueueName.OUTBOUND)
    (message,) = await platform.outgoing()
    held = await platform.finished(QueueName.OUTBOUND, f"send-{message.id}")
    assert held.return_value == {"status": "queued", "held": True}

    platform.ahead_ms += 10_000
    platform.work(QueueName.CAMPAIGN)
    await platform.campaigns.resume(organization_id, campaign.id)
    await platform.until_status(message.id, MessageStatus.SENT)
    assert len(platform.gateway.sent) == 1


async def test_who_opts_out_after_the_freeze_is_not_written_to(platform: Platform) -> None:
    campaign = await _make(platform, 1)
    await platform.campaigns.start(platform.organization.id, campaign.id)
    await platform.handle(CAMPAIGN, "tick", _tick(platform, campaign.id))
    (message,) = await platform.outgoing()
    async with platform.database.begin() as connection:
        await consent.record(
            connection,
            organization_id=platform.organization.id,
            contact_id=message.contact_id,
            address=message.address,
            state=consent.Consent.OPTED_OUT,
            evidence=consent.Evidence(source="test", at=datetime.now(UTC)),
        )
    answer = await platform.handle(QueueName.OUTBOUND, "send", platform.send_data(message.id))
    assert answer == {"status": "skipped", "code": "opted_out"}
    assert platform.gateway.sent == []
    progress = await platform.campaigns.progress(platform.organization.id, campaign.id)
    assert (progress.skipped, progress.total) == (1, 1)


async def test_cancel_and_ticks_at_once_lose_nobody(platform: Platform) -> None:
    campaign = await _make(platform, 10)
    organization_id = platform.organization.id
    await platform.campaigns.start(organization_id, campaign.id)
    ticks = [platform.handle(CAMPAIGN, "tick", _tick(platform, campaign.id)) for _ in range(6)]

    await asyncio.gather(*ticks[:3], platform.campaigns.cancel(organization_id, campaign.id), *ticks[3:])

    progress = await platform.campaigns.progress(organization_id, campaign.id)
    assert progress.skipped == progress.total == progress.planned
    assert {message.status for message in await platform.outgoing()} <= {MessageStatus.SKIPPED}


async def test_failed_recipients_are_retried_as_new_attempts(platform: Platform) -> None:
    campaign = await _make(platform, 3)
    organization_id = platform.organization.id
    drop = SendError("no", scope=Scope.RECIPIENT, action=Action.DROP, code="131026")
    other = SendError("no", scope=Scope.RECIPIENT, action=Action.DROP, code="131049")
    platform.gateway.answers.extend([drop, other])
    platform.work()
    await platform.campaigns.start(organization_id, campaign.id)

    async def finished_with(failed: int) -> bool:
        current = await platform.campaigns.get(organization_id, campaign.id)
        progress = await platform.campaigns.progress(organization_id, campaign.id)
        return current is not None and current.status == "finished" and progress.failed == failed

    await until(lambda: finished_with(2), timeout_s=30)
    assert await platform.campaigns.retry(organization_id, campaign.id, Retry(code="131026")) == 1
    await until(lambda: finished_with(1), timeout_s=30)
    assert await platform.campaigns.retry(organization_id, campaign.id, Retry()) == 1
    await until(lambda: finished_with(0), timeout_s=30)
    assert await platform.campaigns.retry(organization_id, campaign.id, Retry()) == 0
    assert await platform.count("messages") == 5  # the failed attempts stay
    progress = await platform.campaigns.progress(organization_id, campaign.id)
    assert (progress.accepted, progress.total) == (3, 3)
    # An old attempt's job that a person puts back is not a second message.
    (old, *_) = [message for message in await platform.outgoing() if message.status is MessageStatus.FAILED]
    assert await platform.handle(QueueName.OUTBOUND, "send", platform.send_data(old.id)) == {"status": "failed"}
    assert len(platform.gateway.sent) == 5


async def test_an_attempt_that_another_replaced_is_skipped_and_says_so(platform: Platform) -> None:
    campaign = await _make(platform, 1)
    organization_id = platform.organization.id
    await platform.campaigns.start(organization_id, campaign.id)
    await platform.handle(CAMPAIGN, "tick", _tick(platform, campaign.id))
    (message,) = await platform.outgoing()
    async with platform.database.begin() as connection:  # a retry, while a person puts the old job back
        values = {"status": "pending", "message_id": None, "past_messages": [message.id]}
        await connection.execute(campaign_recipients.update().values(values))
    await platform.handle(QueueName.OUTBOUND, "send", platform.send_data(message.id))
    skipped = await platform.message(message.id)
    assert skipped.status is MessageStatus.SKIPPED
    assert skipped.failure_reason == "a new attempt took its place, or its campaign is gone"


async def test_a_campaign_that_mostly_fails_pauses_itself_and_says_why(platform: Platform) -> None:
    campaign = await _make(platform, 40)
    organization_id = platform.organization.id
    drop = SendError("no", scope=Scope.RECIPIENT, action=Action.DROP, code="131026")
    platform.gateway.answers.extend([drop] * 40)
    await platform.campaigns.start(organization_id, campaign.id)
    current = campaign
    while current.status != "paused":
        platform.ahead_ms += 3_000
        await platform.handle(CAMPAIGN, "tick", _tick(platform, campaign.id))
        for message in await platform.outgoing():
            if message.status is MessageStatus.QUEUED:
                await platform.handle(QueueName.OUTBOUND, "send", platform.send_data(message.id))
        found = await platform.campaigns.get(organization_id, campaign.id)
        assert found is not None
        assert found.status in {"running", "paused"}
        current = found
    assert re.fullmatch(r"(\d\d) of \1 messages failed, more than 30 %", current.reason or "")


async def test_a_scheduled_campaign_starts_by_itself(platform: Platform) -> None:
    campaign = await _make(platform, 1)
    organization_id = platform.organization.id
    start_at = moment(platform.clock() + 3_600_000)
    with pytest.raises(Invalid, match="start_at is not in the future"):
        await platform.campaigns.schedule(organization_id, campaign.id, start_at=moment(platform.clock() - 1))
    assert (await platform.campaigns.schedule(organization_id, campaign.id, start_at=start_at)).status == "scheduled"
    answer = await platform.handle(CAMPAIGN, "tick", _tick(platform, campaign.id))
    assert answer == Snooze(60_000)
    assert await platform.outgoing() == []

    endpoint = await endpoint_at(platform, "http://127.0.0.1:9/", "campaign.*")
    platform.ahead_ms += 3_600_000
    for _ in range(2):
        await platform.handle(CAMPAIGN, "tick", _tick(platform, campaign.id))
    assert len(await platform.outgoing()) == 1
    assert [each.event for each in await log_of(platform, endpoint)] == ["campaign.started"]
    assert (await platform.queues.webhook.counts())[State.WAITING] == 1


async def test_quiet_hours_that_begin_hold_a_message_that_waits(platform: Platform) -> None:
    """A message that was written in time and taken late is not sent at night, and goes out in the morning."""
    noon = datetime.now(UTC).replace(hour=15, minute=0, second=0, microsecond=0) + timedelta(days=1)
    platform.ahead_ms = milliseconds(noon) - system_clock()  # 12:00 in São Paulo
    campaign = await platform.campaigns.create(
        organization_id=platform.organization.id,
        instance_id="sales",
        name="Day",
        body="Oi",
        recipients=_numbers(1),
        pace={"quiet": {"from": "21:00", "to": "08:00"}},
    )
    await platform.campaigns.start(platform.organization.id, campaign.id)
    tick = _tick(platform, campaign.id)
    await platform.handle(CAMPAIGN, "tick", tick)
    (message,) = await platform.outgoing()

    platform.ahead_ms += 10 * 3_600_000  # 22:00
    send = platform.send_data(message.id)
    assert await platform.handle(QueueName.OUTBOUND, "send", send) == {"status": "queued", "held": True}
    await platform.handle(CAMPAIGN, "tick", tick)
    assert await platform.handle(QueueName.OUTBOUND, "send", send) == {"status": "queued", "held": True}

    platform.ahead_ms += 11 * 3_600_000  # 9:00
    await platform.handle(CAMPAIGN, "tick", tick)
    assert await platform.handle(QueueName.OUTBOUND, "send", send) == {"status": "sent"}


async def test_malformed_campaigns_are_refused_with_the_remedy(platform: Platform) -> None:
    async def create(**change: object) -> None:
        given = {"instance_id": "sales", "name": "X", "body": "Hi", "recipients": _numbers(1)} | change
        await platform.campaigns.create(organization_id=platform.organization.id, **given)  # type: ignore[arg-type]

    with pytest.raises(Invalid, match=r"recipients\[1\] 'abc' is not a phone number"):
        await create(recipients=["+5511999990001", "abc"])
    with pytest.raises(Invalid, match="recipients is empty"):
        await create(recipients=[])
    with pytest.raises(Invalid, match=r"content.variants\[0\].text is empty"):
        await create(body="")
    with pytest.raises(Invalid, match="recipients and segment are both given"):
        await create(segment="everyone")
    with pytest.raises(Invalid, match="position 1: found 'vip'"):
        await create(recipients=None, segment="vip")
    with pytest.raises(Invalid, match="instance_id has 'sales' twice"):
        await create(instance_id=["sales", "sales"])
    with pytest.raises(Missing, match="no such instance"):
        await create(instance_id="nowhere")


async def test_what_a_number_cannot_send_is_refused_with_the_remedy(platform: Platform) -> None:
    organization_id = platform.organization.id
    await Instances(platform.database).create(organization_id=organization_id, id="phone", gateway="baileys")
    template = {"type": "template", "template": "promo", "language": "pt_BR"}
    wanted = {"organization_id": organization_id, "name": "X", "recipients": _numbers(1)}
    remedy = "write it as a text, or leave out the number 'phone'"
    with pytest.raises(Invalid, match=remedy) as caught:
        await platform.campaigns.create(instance_id=["sales", "phone"], content=template, **wanted)
    assert (caught.value.code, caught.value.field) == ("content_not_supported", "content.variants[0].type")
    draft = await platform.campaigns.create(instance_id="phone", content="Oi", **wanted)
    with pytest.raises(Invalid, match=remedy):
        await platform.campaigns.update(organization_id, draft.id, content=template)
    kept = await platform.campaigns.get(organization_id, draft.id)
    assert kept is not None
    assert kept.content.stored() == draft.content.stored()
