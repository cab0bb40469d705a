"""A worker in a process of its own, to be killed, frozen and misled.

Each run of a handler leaves its mark in a list of the same server: what a customer would have seen.
"""

import asyncio
import json
import signal
import sys
import time
from dataclasses import dataclass

from berrante.engine import Connection, Job, Worker, WorkerOptions
from berrante.engine.connection import is_unavailable
from tests.waiting import until


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What the process is to do; ``hold`` is a key that the handler waits for, ``skew_ms`` puts its clock off."""

    url: str
    prefix: str
    effects: str
    concurrency: int = 1
    lock_ms: int = 30_000
    stalled_interval_ms: int = 30_000
    skew_ms: int = 0
    hold: str = ""


def main() -> None:
    asyncio.run(_work(Orders(**json.loads(sys.argv[1]))))


async def _work(orders: Orders) -> None:
    def clock() -> int:
        return time.time_ns() // 1_000_000 + orders.skew_ms

    async with Connection.from_url(orders.url, clock=clock) as connection, Connection.from_url(orders.url) as outside:

        async def handle(job: Job) -> str:
            await _insist(outside, orders.effects, f"{job.id}:{job.attempts_started}")
            if orders.hold:
                await outside.redis.blpop([orders.hold], timeout=8)
            if job.name == "flaky" and job.attempt == 1:
                raise ValueError("the first attempt fails")
            return "sent"

        options = WorkerOptions(
            concurrency=orders.concurrency,
            lock_ms=orders.lock_ms,
            stalled_interval_ms=orders.stalled_interval_ms,
            max_stalled=100,
            block_ms=1_000,
        )
        worker = Worker("q", handle, connection, options, prefix=orders.prefix)

        async def stop() -> None:
            stopping = asyncio.create_task(worker.stop(deadline_ms=2_000))
            await asyncio.sleep(0)  # from here on it takes no more, and the test may know
            await outside.redis.set(f"{orders.effects}-stopping", 1)
            await stopping

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: asyncio.ensure_future(stop()))
        await worker.run()


async def _insist(connection: Connection, key: str, mark: str) -> None:
    """Leave a mark even if the server is just away; a mark that may have been left is not left twice."""

    async def is_left() -> bool:
        try:
            await connection.redis.zadd(key, {mark: 1})
        except Exception as error:
            if not is_unavailable(error):
                raise
            return False
        return True

    await until(is_left, timeout_s=60)


if __name__ == "__main__":
    main()
