"""Deliveries through the queue: told once it happened, the same bytes until taken, no endpoint in another's way."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, update

from berrante.engine import Snooze, State, Unrecoverable
from berrante.gateways.protocol import Action, Scope, SendError
from berrante.messaging.endpoints import Delivery, Endpoint, EventType, Sender, emit, emit_all, enqueue
from berrante.messaging.endpoints.emitting import Happening, Told
from berrante.messaging.endpoints.models import webhook_deliveries, webhook_endpoints
from berrante.messaging.endpoints.signing import signature
from berrante.messaging.errors import Invalid, Missing, WrongState
from berrante.messaging.messages import MessageStatus
from berrante.messaging.organizations import Organizations
from berrante.messaging.queues import QueueName
from berrante.messaging.reconciler import Swept
from tests.messaging.platform import NOW_MS, Platform
from tests.messaging.receiver import Receiver, receiving
from tests.waiting import until

WEBHOOK = QueueName.WEBHOOK
MINUTE_MS = 60_000


async def _endpoint(platform: Platform, url: str, *events: str) -> Endpoint:
    return await platform.endpoints.create(
        organization_id=platform.organization.id, url=url, events=list(events or ["*"])
    )


async def _emit(platform: Platform, event: EventType = EventType.CAMPAIGN_STARTED, **data: Any) -> list[Told]:
    async with platform.database.begin() as connection:
        return await emit(connection, platform.organization.id, event, data)


async def _told(platform: Platform, **data: Any) -> list[Told]:
    """Emit, and give the jobs."""
    told = await _emit(platform, **data)
    await enqueue(platform.queues, told)
    return told


def _data(told: Told, **changed: Any) -> dict[str, Any]:
    return {
        "organizationId": str(told.organization_id),
        "endpointId": str(told.endpoint_id),
        "deliveryId": str(told.delivery_id),
        "round": 0,
    } | changed


async def _delivery(platform: Platform, told: Told) -> Delivery:
    return await platform.deliveries.get(platform.organization.id, told.endpoint_id, told.delivery_id)


async def _try(platform: Platform, told: Told, **changed: Any) -> Any:
    return await platform.handle(WEBHOOK, "deliver", _data(told, **changed))


async def _until_status(platform: Platform, told: Told, status: str) -> Delivery:
    async def has_status() -> bool:
        return (await _delivery(platform, told)).status == status

    await until(has_status)
    return await _delivery(platform, told)


async def _log(platform: Platform, endpoint: Endpoint) -> list[Delivery]:
    return await platform.deliveries.list(platform.organization.id, endpoint.id, limit=200)


def _valid(receiver: Receiver, *secrets: str) -> bool:
    """Check the last request as docs/webhooks.md tells receivers to."""
    request = receiver.requests[-1]
    timestamp = int(request.headers["berrante-timestamp"])
    delivery_id = UUID(request.headers["berrante-id"])
    expected = [
        signature(secret, delivery_id=delivery_id, timestamp_s=timestamp, body=request.body) for secret in secrets
    ]
    return request.headers["berrante-signature"].split(",") == expected


async def test_what_happened_arrives_signed(platform: Platform) -> None:
    async with receiving() as receiver:
        endpoint = await _endpoint(platform, receiver.url, "campaign.*")
        platform.work(WEBHOOK)
        (told,) = await _told(platform, campaign_id="c1")
        delivery = await _until_status(platform, told, "delivered")
    (request,) = receiver.requests
    assert _valid(receiver, endpoint.secret)
    assert request.headers["berrante-id"] == str(told.delivery_id)
    assert (request.headers["berrante-event"], request.headers["berrante-attempt"]) == ("campaign.started", "1")
    body = json.loads(request.body)
    assert body["id"] == f"evt_{delivery.event_id.hex}"
    assert (body["type"], body["organization_id"]) == ("campaign.started", str(platform.organization.id))
    assert body["data"] == {"campaign_id": "c1"}
    assert (delivery.attempts, delivery.answer_status, delivery.answer_body) == (1, 200, "ok")
    assert request.body == delivery.body


async def test_an_endpoint_gets_what_it_asked_for_and_another_organization_nothing(platform: Platform) -> None:
    stranger = await Organizations(platform.database).create("Stranger")
    await platform.endpoints.create(organization_id=stranger.id, url="http://127.0.0.1:9/", events=["*"])
    exact = await _endpoint(platform, "http://127.0.0.1:9/1", "campaign.started")
    kind = await _endpoint(platform, "http://127.0.0.1:9/2", "campaign.*", "message.*")
    all_ = await _endpoint(platform, "http://127.0.0.1:9/3", "*")
    await _endpoint(platform, "http://127.0.0.1:9/4", "message.received")
    disabled = await _endpoint(platform, "http://127.0.0.1:9/5", "*")
    await platform.endpoints.change(platform.organization.id, disabled.id, enabled=False)

    told = await _emit(platform)
    assert {each.endpoint_id for each in told} == {exact.id, kind.id, all_.id}
    bodies = {(await _delivery(platform, each)).body for each in told}
    assert len(bodies) == 1  # one event, one id, whoever is told


async def _statements(platform: Platform, happenings: list[Happening]) -> tuple[list[str], list[Told]]:
    """Emit all, and say which statements that took."""
    seen: list[str] = []

    def saw(*about: Any) -> None:
        seen.append(str(about[2]).split(" ", 1)[0].strip())

    event.listen(platform.database.engine.sync_engine, "before_cursor_execute", saw)
    async with platform.database.begin() as connection:
        told = await emit_all(connection, happenings)
    event.remove(platform.database.engine.sync_engine, "before_cursor_execute", saw)
    return seen, told


async def test_much_that_happened_at_once_is_told_in_two_statements_and_to_nobody_in_one(platform: Platform) -> None:
    one = Happening(organization_id=platform.organization.id, event=EventType.MESSAGE_STATUS, data={})
    assert await _statements(platform, [one] * 100) == (["SELECT"], [])
    assert await _statements(platform, []) == ([], [])
    other = await Organizations(platform.database).create("Other")
    mine = await _endpoint(platform, "http://127.0.0.1:9/", "message.*")
    theirs = await platform.endpoints.create(organization_id=other.id, url="http://127.0.0.1:9/", events=["campaign.*"])
    happenings = [
        Happening(organization_id=owner, event=kind, data={"n": n})
        for n in range(5)
        for owner in (platform.organization.id, other.id)
        for kind in (EventType.MESSAGE_STATUS, EventType.CAMPAIGN_STARTED)
    ]
    statements, told = await _statements(platform, happenings)
    assert statements == ["SELECT", "INSERT"]
    assert [each.endpoint_id for each in told].count(mine.id) == 5
    assert [each.endpoint_id for each in told].count(theirs.id) == 5


async def test_what_was_rolled_back_is_told_to_nobody(platform: Platform) -> None:
    endpoint = await _endpoint(platform, "http://127.0.0.1:9/")
    async with platform.database.engine.connect() as connection, connection.begin() as transaction:
        await emit(connection, platform.organization.id, EventType.CAMPAIGN_STARTED, {})
        await transaction.rollback()
    assert await _log(platform, endpoint) == []


async def test_after_a_500_the_same_bytes_come_again_and_are_taken(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("berrante.messaging.endpoints.policy.WAITS_S", (0.02,) * 8)
    async with receiving() as receiver:
        await _endpoint(platform, receiver.url)
        receiver.answers.append(500)
        platform.work(WEBHOOK)
        (told,) = await _told(platform, a=1)
        delivery = await _until_status(platform, told, "delivered")
    first, second = receiver.requests
    assert (first.body, first.headers["berrante-id"]) == (second.body, second.headers["berrante-id"])
    assert (first.headers["berrante-attempt"], second.headers["berrante-attempt"]) == ("1", "2")
    assert (delivery.attempts, delivery.error) == (2, None)


async def test_a_failure_waits_by_the_table_and_the_log_says_why(platform: Platform) -> None:
    async with receiving() as receiver:
        await _endpoint(platform, receiver.url)
        receiver.otherwise = 503
        (told,) = await _emit(platform)
        answer = await _try(platform, told)
        assert isinstance(answer, Snooze)
        assert 4_000 <= answer.delay_ms <= 6_000
        delivery = await _delivery(platform, told)
        assert (delivery.status, delivery.attempts, delivery.answer_status) == ("pending", 1, 503)
        assert delivery.error == "answered 503"
        assert delivery.due_at > datetime.now(UTC)


async def test_after_the_last_try_it_failed_and_a_replay_begins_anew(platform: Platform) -> None:
    async with receiving() as receiver:
        endpoint = await _endpoint(platform, receiver.url)
        receiver.answers.append(500)
        (told,) = await _emit(platform)
        async with platform.database.begin() as connection:
            await connection.execute(update(webhook_deliveries).values(attempts=8))
        answer = await _try(platform, told)
        assert (answer["status"], answer["code"]) == ("failed", 500)
        failed = await _delivery(platform, told)
        assert (failed.status, failed.attempts) == ("failed", 9)
        assert await _try(platform, told) == {"status": "failed"}

        again = await platform.deliveries.replay(platform.organization.id, endpoint.id, told.delivery_id)
        assert (again.status, again.attempts, again.round) == ("pending", 0, 1)
        assert await _try(platform, told) == {"status": "pending"}  # a job of the round before
        platform.work(WEBHOOK)
        await _until_status(platform, told, "delivered")
        first, second = receiver.requests
    assert (first.body, first.headers["berrante-id"]) == (second.body, second.headers["berrante-id"])


async def test_a_delivery_that_was_taken_can_be_replayed_too(platform: Platform) -> None:
    async with receiving() as receiver:
        endpoint = await _endpoint(platform, receiver.url)
        platform.work(WEBHOOK)
        (told,) = await _told(platform)
        await _until_status(platform, told, "delivered")
        for _ in range(2):
            await platform.deliveries.replay(platform.organization.id, endpoint.id, told.delivery_id)
        await until(lambda: len(receiver.requests) >= 2)
        await _until_status(platform, told, "delivered")
    assert len({(request.body, request.headers["berrante-id"]) for request in receiver.requests}) == 1


async def test_a_worker_that_is_cut_off_while_it_sends_sends_the_same_again(platform: Platform) -> None:
    async with receiving() as receiver:
        await _endpoint(platform, receiver.url)
        receiver.answers.append(asyncio.Event())
        (told,) = await _emit(platform, a=1)
        sending = asyncio.create_task(_try(platform, told))
        await until(lambda: receiver.requests)
        sending.cancel()
        await asyncio.wait([sending])
        assert (await _delivery(platform, told)).status == "pending"

        assert await _try(platform, told) == {"status": "delivered", "code": 200}
        first, second = receiver.requests
    assert (first.body, first.headers["berrante-id"]) == (second.body, second.headers["berrante-id"])
    assert (await _delivery(platform, told)).attempts == 1


async def test_a_dead_endpoint_delays_nobody(platform: Platform) -> None:
    platform.sender = Sender(allow_loopback=True, within_s=30)
    async with receiving() as dead, receiving() as live:
        dead.otherwise = asyncio.Event()  # takes connections, never answers
        silent = await _endpoint(platform, dead.url)
        await _endpoint(platform, live.url)
        platform.work(WEBHOOK, concurrency=10)
        told = [each for n in range(20) for each in await _told(platform, n=n)]
        healthy = [each for each in told if each.endpoint_id != silent.id]
        for each in healthy:
            await _until_status(platform, each, "delivered")
        assert len(live.requests) == 20
        # Half the worker's places at most: the live one was never without.
        assert 1 <= len(dead.requests) <= 5
        dead.otherwise.set()
        dead.otherwise = 200


async def test_an_endpoint_that_failed_thrice_rests_uncharged_and_one_delivery_tries_it_out(platform: Platform) -> None:
    async with receiving() as receiver:
        endpoint = await _endpoint(platform, receiver.url)
        receiver.otherwise = 500
        told = [each for n in range(5) for each in await _emit(platform, n=n)]
        for each in told[:3]:
            await _try(platform, each)
        resting = await platform.endpoints.get(platform.organization.id, endpoint.id)
        assert resting.failures == 3
        assert resting.open_until is not None

        answer = await _try(platform, told[3])
        assert isinstance(answer, Snooze)
        assert 25_000 <= answer.delay_ms <= 31_500
        assert len(receiver.requests) == 3
        assert (await _delivery(platform, told[3])).attempts == 0

        platform.ahead_ms = 31_000
        receiver.otherwise = asyncio.Event()
        probe = asyncio.create_task(_try(platform, told[3]))
        await until(lambda: len(receiver.requests) == 4)
        assert isinstance(await _try(platform, told[4]), Snooze)  # one tries, the others wait for what it finds
        assert len(receiver.requests) == 4
        receiver.otherwise.set()
        assert await probe == {"status": "delivered", "code": 200}

        receiver.otherwise = 200
        assert await _try(platform, told[4]) == {"status": "delivered", "code": 200}
        well = await platform.endpoints.get(platform.organization.id, endpoint.id)
    assert (well.failures, well.failing_since, well.open_until) == (0, None, None)


async def test_an_endpoint_that_fails_for_days_is_disabled_and_the_others_are_told(platform: Platform) -> None:
    async with receiving() as receiver, receiving() as other:
        endpoint = await _endpoint(platform, receiver.url, "campaign.*")
        watcher = await _endpoint(platform, other.url, "webhook.disabled")
        receiver.otherwise = 500
        first, second = [each for n in range(2) for each in await _emit(platform, n=n)]
        async with platform.database.begin() as connection:
            since = datetime.now(UTC) - timedelta(days=3)
            ill = update(webhook_endpoints).where(webhook_endpoints.c.id == endpoint.id)
            await connection.execute(ill.values(failures=40, failing_since=since))
        answer = await _try(platform, first)
        assert answer["status"] == "failed"
        assert "for 3 days, 41 in a row" in answer["disabled"]
        disabled = await platform.endpoints.get(platform.organization.id, endpoint.id)
        assert disabled.disabled_at is not None
        assert disabled.disabled_reason == answer["disabled"]
        assert await _try(platform, second) == {"status": "skipped"}
        assert len(receiver.requests) == 1
        assert await _emit(platform) == []

        (notice,) = await _log(platform, watcher)
        assert json.loads(notice.body)["data"]["webhook_id"] == str(endpoint.id)
        platform.work(WEBHOOK)
        await until(lambda: other.requests)

        with pytest.raises(WrongState, match="disabled"):
            await platform.deliveries.replay(platform.organization.id, endpoint.id, second.delivery_id)
        with pytest.raises(WrongState, match="disabled"):
            await platform.endpoints.ping(platform.organization.id, endpoint.id)
        enabled = await platform.endpoints.change(platform.organization.id, endpoint.id, enabled=True)
        assert (enabled.disabled_at, enabled.failures, enabled.failing_since) == (None, 0, None)
        receiver.otherwise = 200
        await platform.deliveries.replay(platform.organization.id, endpoint.id, second.delivery_id)
        await _until_status(platform, second, "delivered")


async def test_during_a_rotation_both_secrets_sign_and_afterwards_the_new_one(platform: Platform) -> None:
    async with receiving() as receiver:
        old = await _endpoint(platform, receiver.url)
        new = await platform.endpoints.rotate_secret(platform.organization.id, old.id, overlap_s=60)
        assert new.secret != old.secret
        (first,) = await _emit(platform)
        await _try(platform, first)
        assert _valid(receiver, new.secret, old.secret)

        platform.ahead_ms = 61_000
        (second,) = await _emit(platform)
        await _try(platform, second)
        assert _valid(receiver, new.secret)

        at_once = await platform.endpoints.rotate_secret(platform.organization.id, old.id, overlap_s=0)
        (third,) = await _emit(platform)
        await _try(platform, third)
        assert _valid(receiver, at_once.secret)
        with pytest.raises(Invalid, match="overlap_s"):
            await platform.endpoints.rotate_secret(platform.organization.id, old.id, overlap_s=-1)


async def test_a_test_is_delivered_whatever_the_endpoint_asked_for(platform: Platform) -> None:
    async with receiving() as receiver:
        endpoint = await _endpoint(platform, receiver.url, "campaign.started")
        platform.work(WEBHOOK)
        await platform.endpoints.ping(platform.organization.id, endpoint.id)
        await until(lambda: receiver.requests)
    assert json.loads(receiver.requests[0].body)["type"] == "webhook.test"


async def test_deliveries_whose_jobs_were_lost_are_found(platform: Platform) -> None:
    async with receiving() as receiver:
        await _endpoint(platform, receiver.url)
        (told,) = await _emit(platform)  # killed before the job was added
        assert await platform.sweep() == Swept()
        platform.ahead_ms = MINUTE_MS + 1_000
        assert await platform.sweep() == Swept(webhooks=1)
        assert await platform.sweep() == Swept()
        platform.work(WEBHOOK)
        await _until_status(platform, told, "delivered")


async def test_a_delivery_whose_job_failed_for_good_is_closed(platform: Platform) -> None:
    await _endpoint(platform, "http://127.0.0.1:9/")
    (told,) = await _emit(platform)
    platform.work(WEBHOOK)
    job_id = f"deliver-{told.delivery_id}-0"
    await platform.queues.webhook.add("deliver", {"not": "readable"}, platform.queues.webhook.with_id(job_id))
    await platform.finished(WEBHOOK, job_id)
    platform.ahead_ms = MINUTE_MS + 1_000
    assert await platform.sweep() == Swept(failed=1)
    assert (await _delivery(platform, told)).error == "its job failed for good"


async def test_a_job_that_names_another_organization_is_a_dead_letter(platform: Platform) -> None:
    await _endpoint(platform, "http://127.0.0.1:9/")
    (told,) = await _emit(platform)
    with pytest.raises(Unrecoverable, match="does not belong"):
        await _try(platform, told, organizationId=str(uuid4()))
    assert await _try(platform, told, deliveryId=str(uuid4())) == {"status": "gone"}
    with pytest.raises(Unrecoverable, match="no jobs named 'send'"):
        await platform.handle(WEBHOOK, "send", _data(told))


async def test_another_organizations_endpoints_and_deliveries_are_out_of_reach(platform: Platform) -> None:
    endpoint = await _endpoint(platform, "http://127.0.0.1:9/")
    (told,) = await _emit(platform)
    stranger = (await Organizations(platform.database).create("Stranger")).id
    own = await platform.endpoints.create(organization_id=stranger, url="http://127.0.0.1:9/", events=["*"])
    endpoints, deliveries = platform.endpoints, platform.deliveries
    for attempt in (
        endpoints.get(stranger, endpoint.id),
        endpoints.change(stranger, endpoint.id, enabled=False),
        endpoints.delete(stranger, endpoint.id),
        endpoints.rotate_secret(stranger, endpoint.id, overlap_s=0),
        endpoints.ping(stranger, endpoint.id),
        deliveries.list(stranger, endpoint.id),
        deliveries.get(stranger, endpoint.id, told.delivery_id),
        deliveries.get(stranger, own.id, told.delivery_id),
        deliveries.replay(stranger, endpoint.id, told.delivery_id),
        deliveries.replay(stranger, own.id, told.delivery_id),
    ):
        with pytest.raises(Missing):
            await attempt
    same = await endpoints.get(platform.organization.id, endpoint.id)
    assert (same.secret, same.disabled_at) == (endpoint.secret, None)


async def test_an_endpoint_that_is_deleted_takes_its_deliveries_with_it(platform: Platform) -> None:
    endpoint = await _endpoint(platform, "http://127.0.0.1:9/")
    (told,) = await _emit(platform)
    await platform.endpoints.delete(platform.organization.id, endpoint.id)
    assert await platform.count("webhook_deliveries") == 0
    assert await _try(platform, told) == {"status": "gone"}


async def test_an_organization_has_a_bounded_number_of_endpoints(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("berrante.messaging.endpoints.service.MOST", 2)
    id_ = uuid4()
    for _ in range(2):  # made twice under one id, it is one
        first = await platform.endpoints.create(
            organization_id=platform.organization.id, url="http://127.0.0.1:9/", events=["*"], endpoint_id=id_
        )
    assert first.id == id_
    await _endpoint(platform, "http://127.0.0.1:9/")
    with pytest.raises(Invalid, match="2 already"):
        await _endpoint(platform, "http://127.0.0.1:9/")


async def test_the_log_forgets_what_is_old_and_settled(platform: Platform) -> None:
    await _endpoint(platform, "http://127.0.0.1:9/")
    old, pending, fresh = [each for n in range(3) for each in await _emit(platform, n=n)]
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
        await _delivery(platform, old)
    assert (await _delivery(platform, pending)).status == "pending"
    assert (await _delivery(platform, fresh)).status == "failed"


def _events(log: list[Delivery]) -> list[tuple[str, dict[str, Any]]]:
    return [(each.event, json.loads(each.body)["data"]) for each in reversed(log)]


async def test_a_message_its_reply_and_its_receipts_are_told_once_each(platform: Platform) -> None:
    endpoint = await _endpoint(platform, "http://127.0.0.1:9/", "message.*")
    organization_id = platform.organization.id
    await platform.automations.create(organization_id=organization_id, name="Hi", trigger="any", reply="Hello")
    platform.work(QueueName.MESSAGE, QueueName.AUTOMATION, QueueName.OUTBOUND)
    for _ in range(2):  # the same message, handed in twice
        await platform.finished(QueueName.MESSAGE, await platform.incoming("Oi", fromName="Ana"))

    async def is_sent() -> bool:
        return [message.status for message in await platform.outgoing()] == [MessageStatus.SENT]

    await until(is_sent)
    (reply,) = await platform.outgoing()
    for status in ("delivered", "delivered", "sent", "read"):
        await platform.finished(QueueName.MESSAGE, await platform.receipt(reply.wire_id, status))
    told = _events(await _log(platform, endpoint))
    assert [(event, data.get("status")) for event, data in told] == [
        ("message.received", None),
        ("message.status", "sent"),
        ("message.status", "delivered"),
        ("message.status", "read"),
    ]
    received = told[0][1]
    assert (received["from"], received["from_name"], received["wire_id"]) == ("+5511999990001", "Ana", "m1")
    assert received["content"] == {"type": "text", "text": "Oi"}
    assert {data["message_id"] for _, data in told[1:]} == {str(reply.id)}
    # Each has its job, too.
    assert (await platform.queues.webhook.counts())[State.WAITING] == 4


async def test_messages_that_fail_are_told_with_their_code(platform: Platform) -> None:
    endpoint = await _endpoint(platform, "http://127.0.0.1:9/", "message.failed")
    platform.gateway.answers.append(SendError("no WhatsApp", scope=Scope.RECIPIENT, action=Action.DROP, code="131026"))
    refused = await platform.queued_message()
    await platform.handle(QueueName.OUTBOUND, "send", platform.send_data(refused))
    bounced = await platform.queued_message()
    await platform.handle(QueueName.OUTBOUND, "send", platform.send_data(bounced))
    receipt = {
        "organizationId": str(platform.organization.id),
        "instanceId": "sales",
        "messageId": f"wire-{bounced.hex}",
        "status": "failed",
        "at": NOW_MS,
        "errorCode": 131049,
        "error": "healthy ecosystem",
    }
    await platform.handle(QueueName.MESSAGE, "receipt", receipt)
    told = _events(await _log(platform, endpoint))
    assert [(data["message_id"], data["failure"]["code"]) for _, data in told] == [
        (str(refused), "131026"),
        (str(bounced), "131049"),
    ]


async def test_a_message_in_doubt_is_told_as_that(platform: Platform) -> None:
    endpoint = await _endpoint(platform, "http://127.0.0.1:9/", "message.status")
    platform.gateway.answers.append(TimeoutError())
    message_id = await platform.queued_message()
    await platform.handle(QueueName.OUTBOUND, "send", platform.send_data(message_id))
    ((event, data),) = _events(await _log(platform, endpoint))
    assert (event, data["status"]) == ("message.status", "in_doubt")


async def test_a_campaign_tells_its_start_and_its_end_once(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("berrante.messaging.campaigns.handler.SETTLING_MS", 20)
    endpoint = await _endpoint(platform, "http://127.0.0.1:9/", "campaign.*")
    campaigns, organization_id = platform.campaigns, platform.organization.id
    done, cancelled = [
        await campaigns.create(
            organization_id=organization_id, instance_id="sales", name=name, body="Hi", recipients=["+5511999990002"]
        )
        for name in ("Done", "Cancelled")
    ]
    for _ in range(2):
        await campaigns.cancel(organization_id, cancelled.id)
    await campaigns.start(organization_id, done.id)
    await campaigns.start(organization_id, done.id)
    platform.work(QueueName.CAMPAIGN, QueueName.OUTBOUND)

    async def is_done() -> bool:
        return (await campaigns.get(organization_id, done.id)).status == "done"  # type: ignore[union-attr]

    await until(is_done)
    assert [(event, data["campaign_id"]) for event, data in _events(await _log(platform, endpoint))] == [
        ("campaign.cancelled", str(cancelled.id)),
        ("campaign.started", str(done.id)),
        ("campaign.finished", str(done.id)),
    ]


async def test_an_automation_whose_job_failed_for_good_is_told(platform: Platform) -> None:
    endpoint = await _endpoint(platform, "http://127.0.0.1:9/", "automation.run_failed")
    await platform.automations.create(
        organization_id=platform.organization.id, name="Hi", trigger="any", reply="Hello", delay_ms=0
    )
    incoming = {
        "organizationId": str(platform.organization.id),
        "instanceId": "sales",
        "from": "+5511999990001",
        "content": "Oi",
        "messageId": "m1",
        "sentAt": NOW_MS,
    }
    await platform.handle(QueueName.MESSAGE, "incoming", incoming)
    (job,) = await platform.queues.automation.jobs([State.WAITING, State.DELAYED, State.PRIORITIZED])
    await job.update_data({"unreadable": True})
    platform.work(QueueName.AUTOMATION)
    await platform.finished(QueueName.AUTOMATION, job.id)
    platform.ahead_ms = MINUTE_MS + 1_000
    assert (await platform.sweep()).failed == 1
    ((event, data),) = _events(await _log(platform, endpoint))
    assert (event, data["run_id"]) == ("automation.run_failed", job.id.removeprefix("run-"))
