"""The reconciler: what Redis lost, the database brings back."""

import asyncio

import pytest

from berrante.engine import State
from berrante.messaging.handlers import handlers
from berrante.messaging.maintenance import schedule_maintenance
from berrante.messaging.messages import MessageStatus
from berrante.messaging.queues import QueueName
from berrante.messaging.reconciler import Swept
from tests.messaging.platform import Platform
from tests.waiting import until

MINUTE_MS = 60_000


async def test_a_message_whose_job_was_never_added_is_found_after_a_minute(platform: Platform) -> None:
    message_id = await platform.queued_message()
    assert await platform.sweep() == Swept()

    platform.ahead_ms = MINUTE_MS + 1_000
    assert await platform.sweep() == Swept(messages=1)
    assert await platform.sweep() == Swept()

    platform.work(QueueName.OUTBOUND)
    await platform.until_status(message_id, MessageStatus.SENT)
    (job,) = await platform.queues.outbound.jobs([State.COMPLETED])
    assert (job.id, job.options.priority) == (f"send-{message_id}", 1)


async def test_losing_redis_entirely_loses_nothing(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    organization_id = platform.organization.id
    monkeypatch.setattr("berrante.messaging.campaigns.handler.SETTLING_MS", 20)
    await platform.automations.create(organization_id=organization_id, name="Hi", trigger="any", reply="Welcome")
    campaign = await platform.campaigns.create(
        organization_id=organization_id,
        instance_id="sales",
        name="Launch",
        body="We are open",
        recipients=["+5511999990002", "+5511999990003"],
    )
    incoming = {
        "organizationId": str(organization_id),
        "instanceId": "sales",
        "from": "+5511999990001",
        "content": "Oi",
        "messageId": "m1",
        "sentAt": platform.clock(),
    }
    await platform.handle(QueueName.MESSAGE, "incoming", incoming)
    await platform.campaigns.start(organization_id, campaign.id)
    tick = {"organizationId": str(organization_id), "instanceId": "sales", "campaignId": str(campaign.id)}
    await platform.handle(QueueName.CAMPAIGN, "tick", tick)
    for name in (QueueName.AUTOMATION, QueueName.CAMPAIGN, QueueName.OUTBOUND):
        await platform.queues[name].obliterate()

    platform.ahead_ms = MINUTE_MS + 1_000
    assert await platform.sweep() == Swept(messages=1, runs=1, campaigns=1)
    for name in (QueueName.AUTOMATION, QueueName.CAMPAIGN, QueueName.OUTBOUND):
        await platform.queues[name].resume()
    platform.work()

    async def is_all_sent() -> bool:
        current = await platform.campaigns.get(organization_id, campaign.id)
        return current is not None and current.status == "finished" and len(platform.gateway.sent) == 3

    await until(is_all_sent)
    assert sorted(message.to for message in platform.gateway.sent) == [
        "+5511999990001",
        "+5511999990002",
        "+5511999990003",
    ]


async def test_jobs_that_are_there_are_left_alone_without_a_trace(platform: Platform) -> None:
    await platform.outbound().send(
        organization_id=platform.organization.id, instance_id="sales", to="+5511999990001", text="Hi"
    )
    events = platform.queues.outbound.keys.events
    before = await platform.queues.connection.redis.xlen(events)
    platform.ahead_ms = MINUTE_MS + 1_000

    assert await platform.sweep() == Swept()
    assert await platform.queues.connection.redis.xlen(events) == before


async def test_a_completed_job_of_an_open_message_is_replaced(platform: Platform) -> None:
    message_id = await platform.outbound().send(
        organization_id=platform.organization.id, instance_id="sales", to="+5511999990001", text="Hi"
    )
    platform.work(QueueName.OUTBOUND)
    await platform.finished(QueueName.OUTBOUND, f"send-{message_id}")
    async with platform.database.begin() as connection:  # as a backup of the database restores it
        await connection.exec_driver_sql("UPDATE messages SET status = 'queued'")
    platform.ahead_ms = MINUTE_MS + 1_000

    assert await platform.sweep() == Swept(messages=1)
    await platform.until_status(message_id, MessageStatus.SENT)


@pytest.mark.parametrize(("status", "becomes"), [("queued", "failed"), ("sending", "in_doubt")])
async def test_a_message_whose_job_failed_for_good_is_closed_not_tried_for_ever(
    platform: Platform, status: str, becomes: str
) -> None:
    message_id = await platform.queued_message()
    bare = handlers(database=platform.database, queues=platform.queues, gateways={}, clock=platform.clock)
    data = platform.send_data(message_id) | {"instanceId": "sales"}
    async with platform.database.begin() as connection:
        await connection.exec_driver_sql(f"UPDATE messages SET status = '{status}'")
    del bare, data["messageId"]  # a job that can never be done
    platform.work(QueueName.OUTBOUND)
    await platform.queues.outbound.add("send", data, platform.queues.outbound.with_id(f"send-{message_id}"))
    await platform.finished(QueueName.OUTBOUND, f"send-{message_id}")
    platform.ahead_ms = MINUTE_MS + 1_000

    assert await platform.sweep() == Swept(failed=1)
    message = await platform.message(message_id)
    assert (message.status, message.failure_code) == (becomes, "dead_letter")
    assert await platform.sweep() == Swept()
    assert await platform.queues.dead_letters.count() == 1


async def test_sweeps_at_once_add_a_job_once(platform: Platform) -> None:
    for number in range(3):
        await platform.queued_message(to=f"+551199999000{number}")
    platform.ahead_ms = MINUTE_MS + 1_000

    await asyncio.gather(*(platform.sweep() for _ in range(4)))

    assert (await platform.queues.outbound.counts())[State.WAITING] == 3


async def test_more_rows_than_a_batch_are_all_found(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("berrante.messaging.reconciler._BATCH", 2)
    for number in range(5):
        await platform.queued_message(to=f"+551199999000{number}")
    platform.ahead_ms = MINUTE_MS + 1_000

    assert await platform.sweep() == Swept(messages=5)


async def test_the_schedule_runs_it_at_once_and_goes_on(platform: Platform) -> None:
    message_id = await platform.queued_message()
    platform.ahead_ms = MINUTE_MS + 1_000
    await schedule_maintenance(platform.queues)
    await schedule_maintenance(platform.queues)
    platform.work(QueueName.MAINTENANCE, QueueName.OUTBOUND)

    await platform.until_status(message_id, MessageStatus.SENT)
    schedulers = await platform.queues.maintenance.schedulers.list()
    assert {each.id: each.every_ms for each in schedulers} == {
        "reconcile": MINUTE_MS,
        "retain": 60 * MINUTE_MS,
        "delete-files": MINUTE_MS,
        "forget-deliveries": 60 * MINUTE_MS,
        "forget-idempotency-keys": 60 * MINUTE_MS,
    }
