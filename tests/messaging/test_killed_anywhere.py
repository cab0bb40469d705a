"""Workers that are cut off wherever they stand: nothing is lost, and a contact sees one message."""

import asyncio
from typing import Any

import pytest

from berrante.engine import Handler, Snooze, State
from berrante.messaging.queues import QueueName
from tests.messaging.platform import NOW_MS, Platform


async def _cut_off(
    handler: Handler, platform: Platform, name: QueueName, job: str, data: dict[str, Any], at: int
) -> None:
    """Run the handler for ``at`` turns of the event loop, then cancel it."""
    task = asyncio.create_task(platform.handle(name, job, data, handler=handler))
    for _ in range(at):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


async def _run_again(platform: Platform, name: QueueName, job: str, data: dict[str, Any]) -> Any:
    """Run the job as the next worker does, waiting as long as it asks to."""
    answer = await platform.handle(name, job, data)
    while isinstance(answer, Snooze):
        platform.ahead_ms += answer.delay_ms
        answer = await platform.handle(name, job, data)
    return answer


@pytest.mark.parametrize("first", range(0, 120, 8))
async def test_a_reply_is_seen_once_wherever_its_workers_were_cut_off(platform: Platform, first: int) -> None:
    await platform.automations.create(organization_id=platform.organization.id, name="Hi", trigger="any", reply="Hello")
    incoming = {
        "organizationId": str(platform.organization.id),
        "instanceId": "sales",
        "from": "5511999990001",
        "content": "Oi",
        "messageId": "m1",
        "sentAt": NOW_MS,
    }
    owner = {"organizationId": str(platform.organization.id), "instanceId": "sales"}
    handlers = platform.handlers()
    for at in range(first, first + 8):
        await _cut_off(handlers[QueueName.MESSAGE], platform, QueueName.MESSAGE, "incoming", incoming, at)
    stored = await _run_again(platform, QueueName.MESSAGE, "incoming", incoming)
    assert stored["runs"] == 1
    assert await platform.count("messages") == 1

    (job,) = await platform.queues.automation.jobs([State.WAITING])
    for at in range(first, first + 8):
        await _cut_off(handlers[QueueName.AUTOMATION], platform, QueueName.AUTOMATION, "step", dict(job.data), at)
    reply = await _run_again(platform, QueueName.AUTOMATION, "step", dict(job.data))

    send = owner | {"messageId": reply["messageId"]}
    for at in range(first, first + 8):
        await _cut_off(handlers[QueueName.OUTBOUND], platform, QueueName.OUTBOUND, "send", send, at)
        platform.ahead_ms += 30_000
    assert await _run_again(platform, QueueName.OUTBOUND, "send", send) == {"status": "sent"}

    assert [message.status for message in await platform.outgoing()] == ["sent"]
    assert len({message.wire_id for message in platform.gateway.sent}) == 1
    assert await platform.count("automation_runs") == 1
