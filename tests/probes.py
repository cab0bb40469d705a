"""Listens to workers' notices, so that tests wait on what happened and never on the clock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from berrante.engine import Connection, Handler, Worker, WorkerOptions
from berrante.engine.notices import Notice, WorkerStarted

N = TypeVar("N", bound=Notice)
WAIT_S = 20.0  # how long a test waits before it says that something never came


class Probe:
    """A worker's listener that remembers everything; ``seen(kind, n)`` returns the first n notices of a kind."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self._news = asyncio.Condition()

    def __call__(self, notice: Notice) -> None:
        self.notices.append(notice)
        asyncio.get_running_loop().create_task(self._tell())

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    def of(self, kind: type[N]) -> list[N]:
        return [notice for notice in self.notices if isinstance(notice, kind)]

    async def seen(self, kind: type[N], n: int = 1) -> list[N]:
        try:
            async with asyncio.timeout(WAIT_S), self._news:
                await self._news.wait_for(lambda: len(self.of(kind)) >= n)
        except TimeoutError:
            names = [type(notice).__name__ for notice in self.notices]
            raise AssertionError(f"waited for {n} {kind.__name__}, saw {names}") from None
        return self.of(kind)[:n]


@asynccontextmanager
async def working(
    queue: str,
    handler: Handler,
    connection: Connection,
    options: WorkerOptions | None = None,
    *,
    prefix: str,
    probe: Probe | None = None,
) -> AsyncIterator[Worker]:
    """Run a worker for the time of the block, then stop it; what it raises comes out here."""
    probe = probe or Probe()
    worker = Worker(queue, handler, connection, options, prefix=prefix, listener=probe)
    running = asyncio.create_task(worker.run())
    started = asyncio.create_task(probe.seen(WorkerStarted))
    await asyncio.wait([running, started], return_when=asyncio.FIRST_COMPLETED)
    started.cancel()
    try:
        yield worker
    finally:
        await worker.stop()
        await running
