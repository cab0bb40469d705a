"""PyPI ``bullmq``: BullMQ's own port to Python."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from bullmq import Job, Queue, Worker

from benchmarks.driver import AsyncHandler, Payload, run


class BullMQ:
    bulk_api = "addBulk"
    blocking = False
    idle_pause_s = 0.01

    def __init__(self, url: str) -> None:
        # redis-py's default time-out is as long as the worker's blocking read, and would end it as an error.
        address = urlsplit(url)
        self._connection = {"host": address.hostname, "port": address.port, "socket_timeout": None}
        self._queue = Queue("bench", {"connection": self._connection})

    async def add(self, payload: Payload) -> None:
        await self._queue.add("send", payload)

    async def add_many(self, payloads: list[Payload]) -> None:
        await self._queue.addBulk([{"name": "send", "data": payload} for payload in payloads])

    @asynccontextmanager
    async def working(self, concurrency: int, handle: AsyncHandler) -> AsyncIterator[None]:
        async def processor(job: Job, _token: str) -> None:
            await handle(job.data)

        worker = Worker("bench", processor, {"connection": self._connection, "concurrency": concurrency})
        yield
        await worker.close(force=True)

    async def unfinished(self) -> int:
        counts = await self._queue.getJobCounts("waiting", "active")
        return sum(counts.values())

    async def close(self) -> None:
        await self._queue.close()


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[BullMQ]:
    peer = BullMQ(url)
    yield peer
    await peer.close()


if __name__ == "__main__":
    run(connect)
