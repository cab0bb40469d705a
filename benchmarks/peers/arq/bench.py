"""arq: jobs in a sorted set that the worker polls."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from arq.constants import default_queue_name
from arq.worker import Worker, func

from benchmarks.driver import AsyncHandler, Payload, background, run

#: arq's default takes ``max_jobs`` twice a second at most: throughput is measured without that limit, an idle worker's
#: start with it, as users have it.
_POLL_S = 0.5 if "idle" in sys.argv[1:2] else 0.001


class Arq:
    bulk_api = None
    blocking = False
    idle_pause_s = _POLL_S

    def __init__(self, redis: ArqRedis, settings: RedisSettings) -> None:
        self._redis = redis
        self._settings = settings

    async def add(self, payload: Payload) -> None:
        await self._redis.enqueue_job("send", payload)

    async def add_many(self, payloads: list[Payload]) -> None:
        # A transaction each, so each takes a connection: no more at once than help.
        for start in range(0, len(payloads), 50):
            await asyncio.gather(*[self.add(payload) for payload in payloads[start : start + 50]])

    @asynccontextmanager
    async def working(self, concurrency: int, handle: AsyncHandler) -> AsyncIterator[asyncio.Future[None]]:
        async def send(_context: dict[str, object], payload: Payload) -> None:
            await handle(payload)

        worker = Worker(
            [func(send, name="send")],
            redis_settings=self._settings,
            handle_signals=False,
            max_jobs=concurrency,
            poll_delay=_POLL_S,
        )
        async with background(worker.async_run()) as task:
            yield task
        await worker.close()

    async def unfinished(self) -> int:
        return await self._redis.zcard(default_queue_name)


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Arq]:
    settings = RedisSettings.from_dsn(url)
    redis = await create_pool(settings)
    yield Arq(redis, settings)
    await redis.aclose()


if __name__ == "__main__":
    run(connect)
