"""Deliveries through the queue: the same bytes until they are taken, and nothing lost."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import update

from berrante.engine import Snooze, Unrecoverable
from berrante.messaging.endpoints.models import webhook_deliveries
from berrante.messaging.errors import Missing
from berrante.messaging.queues import QueueName
from berrante.messaging.reconciler import Swept
from tests.messaging.hooks import (
    MINUTE_MS,
    WEBHOOK,
    data_of,
    delivery_of,
    emitted,
    endpoint_at,
    enqueued,
    is_signed,
    try_once,
    until_status,
)
from tests.messaging.platform import Platform
from tests.messaging.receiver import receiving
from tests.waiting import until


async def test_what_happened_arrives_signed(platform: Platform) -> None:
    async with receiving() as receiver:
        endpoint = await endpoint_at(platform, receiver.url, "campaign.*")
        platform.work(WEBHOOK)
        (told,) = await enqueued(platform, campaign_id="c1")
        delivery = await until_status(platform, told, "delivered")
    (request,) = receiver.requests
    assert is_signed(receiver, endpoint.secret)
    assert request.headers["berrante-id"] == str(told.delivery_id)
    assert (request.headers["berrante-event"], request.headers["berrante-attempt"]) == ("campaign.started", "1")
    body = json.loads(request.body)
    assert body["id"] == f"evt_{delivery.event_id.hex}"
    assert (body["type"], body["organization_id"]) == ("campaign.started", str(platform.organization.id))
    assert body["data"] == {"campaign_id": "c1"}
    assert (delivery.attempts, delivery.answer_status, delivery.answer_body) == (1, 200, "ok")
    assert request.body == delivery.body


async def test_after_a_500_the_same_bytes_come_again_and_are_taken(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("berrante.messaging.endpoints.policy.WAITS_S", (0.02,) * 8)
    async with receiving() as receiver:
        await endpoint_at(platform, receiver.url)
        receiver.answers.append(500)
        platform.work(WEBHOOK)
        (told,) = await enqueued(platform, a=1)
        delivery = await until_status(platform, told, "delivered")
    first, second = receiver.requests
    assert (first.body, first.headers["berrante-id"]) == (second.body, second.headers["berrante-id"])
    assert (first.headers["berrante-attempt"], second.headers["berrante-attempt"]) == ("1", "2")
    assert (delivery.attempts, delivery.error) == (2, None)


async def test_a_failure_waits_by_the_table_and_the_log_says_why(platform: Platform) -> None:
    async with receiving() as receiver:
        await endpoint_at(platform, receiver.url)
        receiver.otherwise = 503
        (told,) = await emitted(platform)
        answer = await try_once(platform, told)
        assert isinstance(answer, Snooze)
        assert 4_000 <= answer.delay_ms <= 6_000
        delivery = await delivery_of(platform, told)
        assert (delivery.status, delivery.attempts, delivery.answer_status) == ("pending", 1, 503)
        assert delivery.error == "answered 503"
        assert delivery.due_at > datetime.now(UTC)


async def test_after_the_last_try_it_failed_and_a_replay_begins_anew(platform: Platform) -> None:
    async with receiving() as receiver:
        endpoint = await endpoint_at(platform, receiver.url)
        receiver.answers.append(500)
        (told,) = await emitted(platform)
        async with platform.database.begin() as connection:
            await connection.execute(update(webhook_deliveries).values(attempts=8))
        answer = await try_once(platform, told)
        assert (answer["status"], answer["code"]) == ("failed", 500)
        failed = await delivery_of(platform, told)
        assert (failed.status, failed.attempts) == ("failed", 9)
        assert await try_once(platform, told) == {"status": "failed"}

        again = await platform.deliveries.replay(platform.organization.id, endpoint.id, told.delivery_id)
        assert (again.status, again.attempts, again.round) == ("pending", 0, 1)
        assert await try_once(platform, told) == {"status": "pending"}  # a job of the round before
        platform.work(WEBHOOK)
        await until_status(platform, told, "delivered")
        first, second = receiver.requests
    assert (first.body, first.headers["berrante-id"]) == (second.body, second.headers["berrante-id"])


async def test_a_delivery_that_was_taken_can_be_replayed_too(platform: Platform) -> None:
    async with receiving() as receiver:
        endpoint = await endpoint_at(platform, receiver.url)
        platform.work(WEBHOOK)
        (told,) = await enqueued(platform)
        await until_status(platform, told, "delivered")
        for _ in range(2):
            await platform.deliveries.replay(platform.organization.id, endpoint.id, told.delivery_id)
        await until(lambda: len(receiver.requests) >= 2)
        await until_status(platform, told, "delivered")
    assert len({(request.body, request.headers["berrante-id"]) for request in receiver.requests}) == 1


async def test_a_worker_that_is_cut_off_while_it_sends_sends_the_same_again(platform: Platform) -> None:
    async with receiving() as receiver:
        await endpoint_at(platform, receiver.url)
        receiver.answers.append(asyncio.Event())
        (told,) = await emitted(platform, a=1)
        sending = asyncio.create_task(try_once(platform, told))
        await until(lambda: receiver.requests)
        sending.cancel()
        await asyncio.wait([sending])
        assert (await delivery_of(platform, told)).status == "pending"

        assert await try_once(platform, told) == {"status": "delivered", "code": 200}
        first, second = receiver.requests
    assert (first.body, first.headers["berrante-id"]) == (second.body, second.headers["berrante-id"])
    assert (await delivery_of(platform, told)).attempts == 1


async def test_deliveries_whose_jobs_were_lost_are_found(platform: Platform) -> None:
    async with receiving() as receiver:
        await endpoint_at(platform, receiver.url)
        (told,) = await emitted(platform)  # killed before the job was added
        assert await platform.sweep() == Swept()
        platform.ahead_ms = MINUTE_MS + 1_000
        assert await platform.sweep() == Swept(webhooks=1)
        assert await platform.sweep() == Swept()
        platform.work(WEBHOOK)
        await until_status(platform, told, "delivered")


async def test_a_delivery_whose_job_failed_for_good_is_closed(platform: Platform) -> None:
    await endpoint_at(platform, "http://127.0.0.1:9/")
    (told,) = await emitted(platform)
    platform.work(WEBHOOK)
    job_id = f"deliver-{told.delivery_id}-0"
    await platform.queues.webhook.add("deliver", {"not": "readable"}, platform.queues.webhook.with_id(job_id))
    await platform.finished(WEBHOOK, job_id)
    platform.ahead_ms = MINUTE_MS + 1_000
    assert await platform.sweep() == Swept(failed=1)
    assert (await delivery_of(platform, told)).error == "its job failed for good"


async def test_a_job_that_names_another_organization_is_a_dead_letter(platform: Platform) -> None:
    await endpoint_at(platform, "http://127.0.0.1:9/")
    (told,) = await emitted(platform)
    with pytest.raises(Unrecoverable, match="does not belong"):
        await try_once(platform, told, organizationId=str(uuid4()))
    assert await try_once(platform, told, deliveryId=str(uuid4())) == {"status": "gone"}
    with pytest.raises(Unrecoverable, match="no jobs named 'send'"):
        await platform.handle(WEBHOOK, "send", data_of(told))


async def test_the_log_forgets_what_is_old_and_settled(platform: Platform) -> None:
    await endpoint_at(platform, "http://127.0.0.1:9/")
    old, pending, fresh = [each for n in range(3) for each in await emitted(platform, n=n)]
    async with platform.database.begin() as connection:
        long_ago = datetime.now(UTC) - timedelta(days=31)
        for told, values in (
            (old, {"created_at": long_ago, "status": "delivered"}),
            (pending, {"created_at": long_ago}),
            (fresh, {"status": "failed"}),
        ):
            mine = update(webhook_deliveries).where(webhook_deliveries.c.id == told.delivery_id)
            await connection.execute(mine.values(values))
    assert await platform.handle(QueueName.MAINTENANCE, "forget-deliveries", {}) == {"forgotten": 1}
    with pytest.raises(Missing):
        await delivery_of(platform, old)
    assert (await delivery_of(platform, pending)).status == "pending"
    assert (await delivery_of(platform, fresh)).status == "failed"
