"""This project's own engine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.driver import AsyncHandler, Payload, background, run
from berrante.engine import Connection, Job, NewJob, Queue, State, Worker, WorkerOptions


class Berrante:
    bulk_api = "add_bulk"
    blocking = False
    idle_pause_s = 0.01

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._queue = Queue("bench", connection)

    async def add(self, payload: Payload) -> None:
        await self._queue.add("send", payload)

    async def add_many(self, payloads: list[Payload]) -> None:
        await self._queue.add_bulk([NewJob("send", payload) for payload in payloads])

    @asynccontextmanager
    async def working(self, concurrency: int, handle: AsyncHandler) -> AsyncIterator[asyncio.Future[None]]:
        async def handler(job: Job) -> None:
            await handle(job.data)

        worker = Worker("bench", handler, self._connection, WorkerOptions(concurrency=concurrency))
        async with background(worker.run()) as task:
            yield task
            await worker.stop()

    async def unfinished(self) -> int:
        counts = await self._queue.counts()
        return counts[State.WAITING] + counts[State.ACTIVE]


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Berrante]:
    async with Connection.from_url(url) as connection:
        yield Berrante(connection)


if __name__ == "__main__":
    run(connect)
