"""streaq: jobs in a stream, read ahead by the worker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streaq import Worker

from benchmarks.driver import AsyncHandler, Payload, background, run


class Streaq:
    bulk_api = "enqueue_many"
    blocking = False
    idle_pause_s = 0.01

    def __init__(self, url: str) -> None:
        self._url = url
        self._handle: AsyncHandler | None = None
        self.producer = self._make(1)
        self._send = self._register(self.producer)

    async def add(self, payload: Payload) -> None:
        await self._send.enqueue(payload)

    async def add_many(self, payloads: list[Payload]) -> None:
        await self.producer.enqueue_many([self._send.enqueue(payload) for payload in payloads])

    @asynccontextmanager
    async def working(self, concurrency: int, handle: AsyncHandler) -> AsyncIterator[asyncio.Future[None]]:
        self._handle = handle
        worker = self._make(concurrency)
        self._register(worker)
        async with background(worker.run_async()) as task:
            yield task

    async def unfinished(self) -> int:
        # An entry leaves the stream when its job is acknowledged.
        return await self.producer.queue_size()

    def _make(self, concurrency: int) -> Worker:
        return Worker(self._url, concurrency=concurrency, handle_signals=False)

    def _register(self, worker: Worker):
        @worker.task(name="send")
        async def send(payload: dict) -> None:
            assert self._handle is not None
            await self._handle(payload)

        return send


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Streaq]:
    peer = Streaq(url)
    async with peer.producer:
        yield peer


if __name__ == "__main__":
    run(connect)
