"""The order of a chat: many messages of a number go at once, and none overtakes another of its chat."""

import asyncio
from uuid import UUID

from berrante.engine import GroupLimits, Snooze, Worker, WorkerOptions
from berrante.gateways.protocol import Action, Scope, SendError
from berrante.messaging.messages import MessageStatus
from berrante.messaging.outbound.jobs import send_id
from berrante.messaging.queues import QueueName
from tests.messaging.platform import Platform
from tests.waiting import until

OUTBOUND = QueueName.OUTBOUND
ANA, BIA = "+5511999990001", "+5511999990002"


async def _sent(platform: Platform, to: str, text: str) -> UUID:
    return await platform.outbound().send(
        organization_id=platform.organization.id, instance_id="sales", to=to, text=text
    )


def _texts(platform: Platform) -> list[str]:
    return [message.content.body for message in platform.gateway.sent]


async def test_a_message_waits_for_an_earlier_one_of_its_chat_that_is_on_its_way(platform: Platform) -> None:
    slow = asyncio.Event()
    platform.gateway.answers.append(slow)
    first = await _sent(platform, ANA, "one")
    second = await _sent(platform, ANA, "two")
    await _sent(platform, BIA, "to another")
    platform.work(OUTBOUND, concurrency=5)
    await until(lambda: len(platform.gateway.sent) == 2)

    async def second_waited() -> bool:
        job = await platform.queues.outbound.get(send_id(second))
        return job is not None and job.attempts_started >= 2

    await until(second_waited)
    assert sorted(_texts(platform)) == ["one", "to another"]
    slow.set()
    await platform.until_status(first, MessageStatus.SENT)
    await platform.until_status(second, MessageStatus.SENT)
    assert _texts(platform)[2:] == ["two"]


async def test_a_message_waits_for_an_earlier_one_that_is_tried_again(platform: Platform) -> None:
    busy = SendError("busy", scope=Scope.MESSAGE, action=Action.RETRY, code="131000")
    platform.gateway.answers.append(busy)
    first = await _sent(platform, ANA, "one")
    second = await _sent(platform, ANA, "two")
    platform.work(OUTBOUND, concurrency=5)
    await platform.until_status(first, MessageStatus.SENT)
    await platform.until_status(second, MessageStatus.SENT)

    assert _texts(platform) == ["one", "one", "two"]


async def test_nobody_waits_for_a_message_that_rests_for_long_or_lost_its_job(platform: Platform) -> None:
    resting, lost = await _sent(platform, ANA, "rests"), await _sent(platform, ANA, "lost")
    await platform.queues.outbound.remove(send_id(lost))

    async def rest(_: object) -> Snooze:
        return Snooze(60_000)

    options = WorkerOptions(groups=GroupLimits())
    await Worker(OUTBOUND.value, rest, platform.queues.connection, options, prefix=platform.prefix).work_off()
    assert (await platform.queues.outbound.rest_ms(send_id(resting)) or 0) > 15_000
    assert await platform.queues.outbound.rest_ms(send_id(lost)) is None

    last = await _sent(platform, ANA, "last")
    platform.work(OUTBOUND)
    await platform.until_status(last, MessageStatus.SENT)
    assert _texts(platform) == ["last"]
