"""taskiq on ``RedisStreamBroker``, the broker of taskiq-redis that acknowledges."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

from benchmarks.driver import AsyncHandler, Payload, background, run


class Taskiq:
    bulk_api = None
    blocking = False
    idle_pause_s = 0.01

    def __init__(self, broker: RedisStreamBroker, redis: Redis) -> None:
        self._broker = broker
        self._redis = redis
        self._handle: AsyncHandler | None = None

        @broker.task(task_name="send")
        async def send(payload: dict) -> None:
            assert self._handle is not None
            await self._handle(payload)

        self._send = send

    async def add(self, payload: Payload) -> None:
        await self._send.kiq(payload)

    async def add_many(self, payloads: list[Payload]) -> None:
        # One after the other: at once is slower, each call wants a connection of its own.
        for payload in payloads:
            await self.add(payload)

    @asynccontextmanager
    async def working(self, concurrency: int, handle: AsyncHandler) -> AsyncIterator[asyncio.Future[None]]:
        self._handle = handle
        async with background(run_receiver_task(self._broker, max_async_tasks=concurrency)) as task:
            yield task

    async def unfinished(self) -> int:
        (group,) = await self._redis.xinfo_groups(self._broker.queue_name)
        return group["pending"] + (group.get("lag") or 0)


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Taskiq]:
    broker = RedisStreamBroker(url)
    redis = Redis.from_url(url)
    await broker.startup()
    yield Taskiq(broker, redis)
    await redis.aclose()
    await broker.shutdown()


if __name__ == "__main__":
    run(connect)
