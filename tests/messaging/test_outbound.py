"""Sending: one visible message whatever happens, and the right reaction to every refusal."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from berrante.engine import Backoff, RateLimited, Snooze, State, Unrecoverable, Waits
from berrante.engine.notices import JobFailed
from berrante.gateways.protocol import Action, InDoubt, Scope, SendError
from berrante.messaging.errors import GatewayMissing, Invalid, Missing
from berrante.messaging.handlers import handlers
from berrante.messaging.instances import Instances
from berrante.messaging.messages import MessageStatus
from berrante.messaging.organizations import Organizations
from berrante.messaging.outbound import handler as outbound_handler
from berrante.messaging.queues import QueueName
from tests.messaging.gateway import CautiousGateway, ScriptedGateway
from tests.messaging.platform import NOW_MS, Platform
from tests.waiting import until

OUTBOUND = QueueName.OUTBOUND


def _error(action: Action, scope: Scope = Scope.MESSAGE, *, retry_after_ms: int | None = None) -> SendError:
    return SendError("refused", scope=scope, action=action, code="131000", retry_after_ms=retry_after_ms)


async def test_a_message_is_sent_under_the_wire_id_of_its_row(platform: Platform) -> None:
    platform.work(OUTBOUND)
    message_id = await platform.outbound().send(
        organization_id=platform.organization.id, instance_id="sales", to="55 11 99999-0001", text="Hello"
    )
    message = await platform.until_status(message_id, MessageStatus.SENT)

    (sent,) = platform.gateway.sent
    assert (sent.wire_id, sent.to, sent.content.body) == (message.wire_id, "+5511999990001", "Hello")
    assert message.provider_id == f"provider-{message.wire_id}"
    assert (message.origin, message.priority, message.attempts) == ("api", 1, 0)


async def test_the_job_carries_ids_alone(platform: Platform) -> None:
    message_id = await platform.outbound().send(
        organization_id=platform.organization.id, instance_id="sales", to="5511999990001", text="secret words"
    )
    job = await platform.queues.outbound.get(f"send-{message_id}")

    assert job is not None
    assert job.data == platform.send_data(message_id)
    assert job.options.priority == 1


async def test_what_cannot_be_sent_is_refused_before_it_is_stored(platform: Platform) -> None:
    other = await Organizations(platform.database).create("Other")
    send = platform.outbound().send
    with pytest.raises(Invalid, match="text is empty"):
        await send(organization_id=platform.organization.id, instance_id="sales", to="5511999990001", text=" ")
    with pytest.raises(Invalid, match="to 'x' is not a phone number"):
        await send(organization_id=platform.organization.id, instance_id="sales", to="x", text="Hello")
    with pytest.raises(Missing, match="no such instance: 'sales'"):
        await send(organization_id=other.id, instance_id="sales", to="5511999990001", text="Hello")
    assert await platform.count("messages") == 0


async def test_a_retry_uses_an_attempt_and_queues_the_message_again(platform: Platform) -> None:
    message_id = await platform.queued_message()
    platform.gateway.answers.append(_error(Action.RETRY))

    with pytest.raises(SendError):
        await platform.handle(OUTBOUND, "send", platform.send_data(message_id))

    message = await platform.message(message_id)
    assert (message.status, message.attempts, message.failure_code) == ("queued", 1, "131000")


async def test_exhausted_attempts_fail_the_message_and_a_person_may_try_again(platform: Platform) -> None:
    message_id = await platform.queued_message()
    platform.gateway.answers.extend([_error(Action.RETRY)] * 4)
    platform.work(OUTBOUND)
    options = replace(platform.queues.outbound.with_id(f"send-{message_id}"), backoff=Backoff.fixed(1))
    await platform.queues.outbound.add("send", platform.send_data(message_id), options)
    await platform.finished(OUTBOUND, f"send-{message_id}")

    message = await platform.message(message_id)
    assert (message.status, message.attempts, len(platform.gateway.sent)) == ("failed", 4, 4)
    (letter,) = await platform.queues.dead_letters.list()

    await platform.queues.dead_letters.retry(letter.id)
    message = await platform.until_status(message_id, MessageStatus.SENT)
    assert {sent.wire_id for sent in platform.gateway.sent} == {message.wire_id}
    assert (len(platform.gateway.sent), message.failure_code) == (5, None)


@pytest.mark.parametrize("action", [Action.DROP, Action.SUPPRESS])
@pytest.mark.parametrize("scope", list(Scope))
async def test_a_final_refusal_fails_the_message_but_not_the_job(
    platform: Platform, action: Action, scope: Scope
) -> None:
    message_id = await platform.queued_message()
    platform.gateway.answers.append(_error(action, scope))

    answer = await platform.handle(OUTBOUND, "send", platform.send_data(message_id))

    assert answer == {"status": "failed", "code": "131000"}
    message = await platform.message(message_id)
    assert (message.status, message.failure_reason, message.attempts) == ("failed", "refused", 0)
    assert await platform.handle(OUTBOUND, "send", platform.send_data(message_id)) == {"status": "failed"}
    assert len(platform.gateway.sent) == 1


@pytest.mark.parametrize(("wish", "waits"), [(None, 30_000), (4_000, 4_000)])
async def test_a_number_that_has_to_rest_uses_no_attempt(platform: Platform, wish: int | None, waits: int) -> None:
    held = await platform.queued_message()
    handler = platform.handlers()[OUTBOUND]
    platform.gateway.answers.append(_error(Action.HOLD, Scope.NUMBER, retry_after_ms=wish))

    answer = await platform.handle(OUTBOUND, "send", platform.send_data(held), handler=handler)
    assert answer == RateLimited(waits)
    message = await platform.message(held)
    assert (message.status, message.attempts) == ("queued", 0)
    assert await platform.handle(OUTBOUND, "send", platform.send_data(held), handler=handler) == {"status": "sent"}


async def test_a_number_that_has_to_rest_rests_alone_for_all_workers(platform: Platform) -> None:
    await Instances(platform.database).create(organization_id=platform.organization.id, id="support")
    outbound, ours = platform.outbound(), platform.organization.id
    platform.gateway.answers.append(_error(Action.HOLD, Scope.NUMBER, retry_after_ms=600_000))
    resting = [
        await outbound.send(organization_id=ours, instance_id="sales", to=f"+551199999000{number}", text="Hi")
        for number in (1, 2)
    ]
    platform.work(OUTBOUND, concurrency=1)

    async def rests() -> bool:
        return (await platform.queues.outbound.groups.stats("sales")).why is Waits.REST

    await until(rests)
    elsewhere = await outbound.send(organization_id=ours, instance_id="support", to="+5511999990001", text="Hi")
    await platform.until_status(elsewhere, MessageStatus.SENT)
    assert [(await platform.message(message_id)).status for message_id in resting] == ["queued", "queued"]
    assert len(platform.gateway.sent) == 2


@pytest.mark.parametrize(
    ("action", "scope"),
    [
        (Action.HOLD, Scope.RECIPIENT),
        (Action.HOLD, Scope.TEMPLATE),
        (Action.RETRY, Scope.RECIPIENT),
        (Action.RETRY, Scope.NUMBER),
    ],
)
async def test_what_is_not_the_messages_fault_uses_no_attempt(platform: Platform, action: Action, scope: Scope) -> None:
    first, second = await platform.queued_message(), await platform.queued_message(to="+5511999990002")
    handler = platform.handlers()[OUTBOUND]
    platform.gateway.answers.append(_error(action, scope, retry_after_ms=6_000))

    assert await platform.handle(OUTBOUND, "send", platform.send_data(first), handler=handler) == Snooze(6_000)
    message = await platform.message(first)
    assert (message.status, message.attempts) == ("queued", 0)
    assert await platform.handle(OUTBOUND, "send", platform.send_data(second), handler=handler) == {"status": "sent"}


async def test_an_answer_that_never_came_leaves_the_message_in_doubt(platform: Platform) -> None:
    message_id = await platform.queued_message()
    platform.gateway.answers.append(InDoubt("the connection broke after the request"))

    assert await platform.handle(OUTBOUND, "send", platform.send_data(message_id)) == {"status": "in_doubt"}
    assert await platform.handle(OUTBOUND, "send", platform.send_data(message_id)) == {"status": "in_doubt"}

    message = await platform.message(message_id)
    assert (message.status, message.failure_reason) == ("in_doubt", "the connection broke after the request")
    assert len(platform.gateway.sent) == 1


async def test_a_send_that_takes_too_long_is_in_doubt(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound_handler, "SEND_WITHIN_S", 0.05)
    message_id = await platform.queued_message()
    platform.gateway.answers.append(asyncio.Event())

    assert await platform.handle(OUTBOUND, "send", platform.send_data(message_id)) == {"status": "in_doubt"}
    assert (await platform.message(message_id)).failure_reason == "no answer within 0.05 s"


async def test_two_workers_on_one_message_send_it_once(platform: Platform) -> None:
    message_id = await platform.queued_message()
    answered = asyncio.Event()
    platform.gateway.answers.append(answered)
    first = asyncio.create_task(platform.handle(OUTBOUND, "send", platform.send_data(message_id)))
    await platform.gateway.entered.wait()

    second = await platform.handle(OUTBOUND, "send", platform.send_data(message_id))
    assert isinstance(second, Snooze)
    answered.set()
    assert await first == {"status": "sent"}
    assert await platform.handle(OUTBOUND, "send", platform.send_data(message_id)) == {"status": "sent"}
    assert len(platform.gateway.sent) == 1


async def test_many_workers_that_start_at_once_send_it_once(platform: Platform) -> None:
    message_id = await platform.queued_message()
    handlers_ = [platform.handlers()[OUTBOUND] for _ in range(8)]

    answers = await asyncio.gather(
        *(platform.handle(OUTBOUND, "send", platform.send_data(message_id), handler=each) for each in handlers_)
    )

    assert len(platform.gateway.sent) == 1
    assert all(answer == {"status": "sent"} or isinstance(answer, Snooze) for answer in answers)


async def _killed_while_sending(platform: Platform, message_id: Any) -> None:
    platform.gateway.answers.append(asyncio.Event())
    task = asyncio.create_task(platform.handle(OUTBOUND, "send", platform.send_data(message_id)))
    await platform.gateway.entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await platform.message(message_id)).status == "sending"


async def test_after_a_crash_a_safe_gateway_sends_again_under_the_same_wire_id(platform: Platform) -> None:
    message_id = await platform.queued_message()
    await _killed_while_sending(platform, message_id)

    answer = await platform.handle(OUTBOUND, "send", platform.send_data(message_id))
    assert isinstance(answer, Snooze)  # the other worker may yet live
    assert 0 < answer.delay_ms <= 30_000
    platform.ahead_ms += answer.delay_ms

    assert await platform.handle(OUTBOUND, "send", platform.send_data(message_id)) == {"status": "sent"}
    assert len({sent.wire_id for sent in platform.gateway.sent}) == 1
    assert len(platform.gateway.sent) == 2


async def test_after_a_crash_another_gateway_is_not_asked_again(platform: Platform) -> None:
    platform.gateway = CautiousGateway()
    message_id = await platform.queued_message()
    await _killed_while_sending(platform, message_id)
    platform.ahead_ms += 30_000

    assert await platform.handle(OUTBOUND, "send", platform.send_data(message_id)) == {"status": "in_doubt"}
    assert len(platform.gateway.sent) == 1


async def test_a_late_worker_cannot_undo_what_the_next_one_did(platform: Platform) -> None:
    message_id = await platform.queued_message()

    class Late(ScriptedGateway):
        async def send(self, message: Any) -> Any:
            await super().send(message)
            raise _error(Action.RETRY)

    answered = asyncio.Event()
    late = Late()
    late.answers.append(answered)
    handler = platform.handlers({"simulator": late})[OUTBOUND]
    first = asyncio.create_task(platform.handle(OUTBOUND, "send", platform.send_data(message_id), handler=handler))
    await late.entered.wait()
    platform.ahead_ms += 30_000
    still_sending = asyncio.Event()
    platform.gateway.answers.append(still_sending)
    second = asyncio.create_task(platform.handle(OUTBOUND, "send", platform.send_data(message_id)))
    await platform.gateway.entered.wait()

    answered.set()
    with pytest.raises(SendError):
        await first
    message = await platform.message(message_id)
    assert (message.status, message.attempts) == ("sending", 0)

    still_sending.set()
    assert await second == {"status": "sent"}
    assert (await platform.message(message_id)).status == "sent"


async def test_an_error_that_no_gateway_should_raise_does_not_send_twice(platform: Platform) -> None:
    platform.gateway = CautiousGateway()
    message_id = await platform.queued_message()
    platform.gateway.answers.append(ValueError("a bug"))
    with pytest.raises(ValueError, match="a bug"):
        await platform.handle(OUTBOUND, "send", platform.send_data(message_id))
    platform.ahead_ms += 30_000

    assert await platform.handle(OUTBOUND, "send", platform.send_data(message_id)) == {"status": "in_doubt"}
    assert len(platform.gateway.sent) == 1


async def test_a_receipt_that_overtakes_the_answer_is_not_undone_by_it(platform: Platform) -> None:
    message_id = await platform.queued_message()
    wire_id = (await platform.message(message_id)).wire_id
    answered = asyncio.Event()
    platform.gateway.answers.append(answered)
    platform.work(QueueName.MESSAGE)
    sending = asyncio.create_task(platform.handle(OUTBOUND, "send", platform.send_data(message_id)))
    await platform.gateway.entered.wait()
    await platform.finished(QueueName.MESSAGE, await platform.receipt(wire_id, "delivered"))
    answered.set()
    await sending

    message = await platform.message(message_id)
    assert (message.status, message.provider_id) == ("delivered", f"provider-{wire_id}")
    assert message.sent_at is not None


async def test_a_message_of_another_tenant_is_out_of_reach(platform: Platform) -> None:
    message_id = await platform.queued_message()
    other = await Organizations(platform.database).create("Other")
    await Instances(platform.database).create(organization_id=other.id, id="theirs")
    data = platform.send_data(message_id)

    for change in (
        {"organizationId": str(other.id)},
        {"instanceId": "theirs"},
        {"organizationId": str(other.id), "instanceId": "theirs"},
        {"messageId": str(other.id)},
    ):
        with pytest.raises(Unrecoverable):
            await platform.handle(OUTBOUND, "send", data | change)
    assert platform.gateway.sent == []
    assert (await platform.message(message_id)).status == "queued"


async def test_a_job_without_a_field_is_a_dead_letter(platform: Platform) -> None:
    platform.work(OUTBOUND)
    job = await platform.queues.outbound.add("send", {"instanceId": "sales"})

    assert "organizationId" in await platform.failure(OUTBOUND, job.id)


async def test_a_process_without_the_gateway_says_so_and_touches_nothing(platform: Platform) -> None:
    message_id = await platform.queued_message()
    bare = handlers(database=platform.database, queues=platform.queues, gateways={}, clock=platform.clock)

    with pytest.raises(GatewayMissing, match="gateway 'simulator' is not set up"):
        await platform.handle(OUTBOUND, "send", platform.send_data(message_id), handler=bare[OUTBOUND])
    assert (await platform.message(message_id)).status == "queued"


async def test_an_early_receipt_waits_for_its_message(platform: Platform) -> None:
    message_id = await platform.queued_message()
    wire_id = (await platform.message(message_id)).wire_id
    platform.work(QueueName.MESSAGE)
    often = replace(platform.queues.message.defaults, attempts=1_000, backoff=Backoff.fixed(5))
    receipt = await platform.receipt(f"provider-{wire_id}", "read", options=often)
    await until(lambda: platform.retries(receipt))

    await platform.handle(OUTBOUND, "send", platform.send_data(message_id))
    await platform.finished(QueueName.MESSAGE, receipt)

    assert await platform.queues.message.state(receipt) is State.COMPLETED
    assert (await platform.message(message_id)).status == "read"


async def test_a_receipt_of_nothing_is_a_dead_letter_in_the_end(platform: Platform) -> None:
    platform.work(QueueName.MESSAGE)
    soon = replace(platform.queues.message.defaults, backoff=Backoff.fixed(1))
    receipt = await platform.receipt("nobody's", "read", at=NOW_MS, options=soon)
    job = await platform.finished(QueueName.MESSAGE, receipt)

    assert job.failed_reason is not None
    assert 'no outgoing message of wire or provider id "nobody\'s"' in job.failed_reason
    assert len(platform.retries(receipt)) == 3
    assert [notice.because for notice in platform.notices if isinstance(notice, JobFailed)] == ["attempts exhausted"]
    assert await platform.queues.dead_letters.count() == 1
