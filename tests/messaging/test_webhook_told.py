"""What is told: once, of what really happened, to those who asked."""

import json
from typing import Any

import pytest
from sqlalchemy import event

from berrante.engine import State
from berrante.gateways.protocol import Action, Scope, SendError
from berrante.messaging.endpoints import Delivery, EventType, emit, emit_all
from berrante.messaging.endpoints.emitting import Happening, Told
from berrante.messaging.messages import MessageStatus
from berrante.messaging.organizations import Organizations
from berrante.messaging.queues import QueueName
from tests.messaging.hooks import MINUTE_MS, delivery_of, emitted, endpoint_at, log_of
from tests.messaging.platform import NOW_MS, Platform
from tests.waiting import until


async def test_an_endpoint_gets_what_it_asked_for_and_another_organization_nothing(platform: Platform) -> None:
    stranger = await Organizations(platform.database).create("Stranger")
    await platform.endpoints.create(organization_id=stranger.id, url="http://127.0.0.1:9/", events=["*"])
    exact = await endpoint_at(platform, "http://127.0.0.1:9/1", "campaign.started")
    kind = await endpoint_at(platform, "http://127.0.0.1:9/2", "campaign.*", "message.*")
    all_ = await endpoint_at(platform, "http://127.0.0.1:9/3", "*")
    await endpoint_at(platform, "http://127.0.0.1:9/4", "message.received")
    disabled = await endpoint_at(platform, "http://127.0.0.1:9/5", "*")
    await platform.endpoints.change(platform.organization.id, disabled.id, enabled=False)

    told = await emitted(platform)
    assert {each.endpoint_id for each in told} == {exact.id, kind.id, all_.id}
    bodies = {(await delivery_of(platform, each)).body for each in told}
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
    mine = await endpoint_at(platform, "http://127.0.0.1:9/", "message.*")
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
    endpoint = await endpoint_at(platform, "http://127.0.0.1:9/")
    async with platform.database.engine.connect() as connection, connection.begin() as transaction:
        await emit(connection, platform.organization.id, EventType.CAMPAIGN_STARTED, {})
        await transaction.rollback()
    assert await log_of(platform, endpoint) == []


def _events(log: list[Delivery]) -> list[tuple[str, dict[str, Any]]]:
    return [(each.event, json.loads(each.body)["data"]) for each in reversed(log)]


async def test_a_message_its_reply_and_its_receipts_are_told_once_each(platform: Platform) -> None:
    endpoint = await endpoint_at(platform, "http://127.0.0.1:9/", "message.*")
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
    told = _events(await log_of(platform, endpoint))
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
    endpoint = await endpoint_at(platform, "http://127.0.0.1:9/", "message.failed")
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
    told = _events(await log_of(platform, endpoint))
    assert [(data["message_id"], data["failure"]["code"]) for _, data in told] == [
        (str(refused), "131026"),
        (str(bounced), "131049"),
    ]


async def test_a_message_in_doubt_is_told_as_that(platform: Platform) -> None:
    endpoint = await endpoint_at(platform, "http://127.0.0.1:9/", "message.status")
    platform.gateway.answers.append(TimeoutError())
    message_id = await platform.queued_message()
    await platform.handle(QueueName.OUTBOUND, "send", platform.send_data(message_id))
    ((event, data),) = _events(await log_of(platform, endpoint))
    assert (event, data["status"]) == ("message.status", "in_doubt")


async def test_a_campaign_tells_its_start_and_its_end_once(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("berrante.messaging.campaigns.handler.SETTLING_MS", 20)
    endpoint = await endpoint_at(platform, "http://127.0.0.1:9/", "campaign.*")
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
        return (await campaigns.get(organization_id, done.id)).status == "finished"  # type: ignore[union-attr]

    await until(is_done)
    assert [(event, data["campaign_id"]) for event, data in _events(await log_of(platform, endpoint))] == [
        ("campaign.cancelled", str(cancelled.id)),
        ("campaign.started", str(done.id)),
        ("campaign.finished", str(done.id)),
    ]


async def test_an_automation_whose_job_failed_for_good_is_told(platform: Platform) -> None:
    endpoint = await endpoint_at(platform, "http://127.0.0.1:9/", "automation.run_failed")
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
    ((event, data),) = _events(await log_of(platform, endpoint))
    assert (event, data["run_id"]) == ("automation.run_failed", job.id.removeprefix("run-"))
