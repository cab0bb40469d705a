"""A throw-away corner of Redis in which queues are tried out."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final, TypeVar

from berrante.app.smoke.checking import WITHIN_S, CheckFailed, remove_keys
from berrante.engine import Connection, DeadLetters, Handler, JobOptions, Queue, Worker, WorkerOptions
from berrante.engine.notices import Notice

N = TypeVar("N", bound=Notice)
QUEUE: Final = "smoke"
LETTERS: Final = "smoke-dead-letter"


class Lab:
    """One check's own queue, with workers on demand and all that they told."""

    def __init__(self, connection: Connection, prefix: str) -> None:
        self.connection = connection
        self.prefix = prefix
        self.queue = Queue(QUEUE, connection, prefix=prefix, defaults=JobOptions())
        self.letters = DeadLetters(connection, LETTERS, prefix=prefix)
        self._told: list[Notice] = []
        self._news = asyncio.Condition()

    def worker(self, handler: Handler, options: WorkerOptions | None = None) -> Worker:
        """Make a worker whose final failures become dead letters."""
        wanted = replace(options or WorkerOptions(), dead_letters=LETTERS)
        return Worker(QUEUE, handler, self.connection, wanted, prefix=self.prefix, listener=self._hear)

    @asynccontextmanager
    async def working(self, handler: Handler, options: WorkerOptions | None = None) -> AsyncIterator[Worker]:
        """Run a worker for the time of the block."""
        worker = self.worker(handler, options)
        running = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            await worker.stop(1_000)
            await running

    async def told(self, kind: type[N], n: int = 1) -> list[N]:
        """Wait until workers told ``n`` notices of a kind and return them; raises ``CheckFailed``."""
        try:
            async with asyncio.timeout(WITHIN_S), self._news:
                await self._news.wait_for(lambda: len(self._of(kind)) >= n)
        except TimeoutError:
            raise CheckFailed(f"{len(self._of(kind))} of {n} {kind.__name__} within {WITHIN_S:g} s") from None
        return self._of(kind)

    def _of(self, kind: type[N]) -> list[N]:
        return [notice for notice in self._told if isinstance(notice, kind)]

    def _hear(self, notice: Notice) -> None:
        self._told.append(notice)
        self._waking = asyncio.get_running_loop().create_task(self._wake())

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()


@asynccontextmanager
async def open_lab(connection: Connection) -> AsyncIterator[Lab]:
    """Open a lab under a fresh prefix and leave no key behind."""
    prefix = connection.within(f"berrante-smoke-{secrets.token_hex(6)}")
    try:
        yield Lab(connection, prefix)
    finally:
        await remove_keys(connection, prefix)
