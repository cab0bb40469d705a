"""SAQ: jobs in a list that the worker blocks on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from saq import Queue, Worker

from benchmarks.driver import AsyncHandler, Payload, background, run


class Saq:
    bulk_api = None
    blocking = False
    idle_pause_s = 0.01

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    async def add(self, payload: Payload) -> None:
        await self._queue.enqueue("send", payload=payload)

    async def add_many(self, payloads: list[Payload]) -> None:
        await asyncio.gather(*[self.add(payload) for payload in payloads])

    @asynccontextmanager
    async def working(self, concurrency: int, handle: AsyncHandler) -> AsyncIterator[asyncio.Future[None]]:
        async def send(_context: dict[str, object], *, payload: Payload) -> None:
            await handle(payload)

        worker = Worker(self._queue, [("send", send)], concurrency=concurrency)
        async with background(worker.start()) as task:
            yield task
            await worker.stop()

    async def unfinished(self) -> int:
        return await self._queue.count("incomplete")


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Saq]:
    queue = Queue.from_url(url)
    await queue.connect()
    yield Saq(queue)
    await queue.disconnect()


if __name__ == "__main__":
    run(connect)
