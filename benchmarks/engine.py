"""Measures this project's engine alone, through its public API, and counts every delivery.

``python -m benchmarks.engine --redis redis://127.0.0.1:6379/0 --jobs 20000 --concurrency 100 --json``
"""

import argparse
import asyncio
import json
import random
import secrets
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass

from redis.asyncio import Redis

from benchmarks.delivery import Delivery, Tally, percentile
from benchmarks.driver import background, run_loop
from benchmarks.payload import payload, payloads
from berrante.engine import Connection, Handler, Job, NewJob, Queue, State, Worker, WorkerOptions

IDLE_SAMPLES = 200
_IDLE_WITHIN_S = 10.0
_WARM_UP = 50
_KEYS_AT_ONCE = 1_000


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One run. ``duplicates`` counts runs too many; times are in milliseconds."""

    add_per_s: float
    add_bulk_per_s: float
    process_per_s: float
    delivered: int
    duplicates: int
    idle_start_ms_p50: float
    idle_start_ms_p99: float
    bytes_per_waiting_job: float


class EngineBench:
    """Measures under a prefix of its own, which ``remove_keys`` empties."""

    def __init__(self, connection: Connection, redis: Redis, *, prefix: str) -> None:
        self._connection = connection
        self._redis = redis
        self._prefix = prefix

    async def measure(self, jobs: int, *, concurrency: int) -> Measurement:
        await self._warm_up(concurrency)
        add_per_s = await self._add(jobs)
        queue = self._queue("process")
        ids, add_bulk_per_s = await self._add_bulk(queue, jobs)
        waiting_bytes = await self._bytes(queue)
        tally, seconds = await self._process(queue, ids, concurrency)
        starts_ms = await self._idle_starts(IDLE_SAMPLES)
        return Measurement(
            add_per_s=round(add_per_s, 1),
            add_bulk_per_s=round(add_bulk_per_s, 1),
            process_per_s=round(tally.delivered / seconds, 1),
            delivered=tally.delivered,
            duplicates=tally.duplicates + tally.unexpected,
            idle_start_ms_p50=round(percentile(starts_ms, 0.5), 3),
            idle_start_ms_p99=round(percentile(starts_ms, 0.99), 3),
            bytes_per_waiting_job=round(waiting_bytes / jobs, 1),
        )

    async def remove_keys(self) -> None:
        async for keys in self._keys(self._prefix):
            await self._redis.unlink(*keys)

    async def _warm_up(self, concurrency: int) -> None:
        # The server compiles each script at its first call.
        queue = self._queue("warm-up")
        await queue.add("send", payload(0))
        await queue.add_bulk([NewJob("send", item) for item in payloads(_WARM_UP)])
        await self._process(queue, [str(number) for number in range(1, _WARM_UP + 2)], concurrency)

    async def _add(self, jobs: int) -> float:
        queue, todo = self._queue("add"), payloads(jobs)
        started = time.perf_counter()
        for item in todo:
            await queue.add("send", item)
        return jobs / (time.perf_counter() - started)

    async def _add_bulk(self, queue: Queue, jobs: int) -> tuple[list[str], float]:
        todo = payloads(jobs)
        started = time.perf_counter()
        ids = await queue.add_bulk([NewJob("send", item) for item in todo])
        return ids, jobs / (time.perf_counter() - started)

    async def _process(self, queue: Queue, ids: list[str], concurrency: int) -> tuple[Tally, float]:
        """Run what waits, from the first handler's first line until Redis holds nothing unfinished."""
        delivery = Delivery(ids)

        async def handler(job: Job) -> None:
            assert job.data["i"] >= 0
            delivery.begin(job.id)

        timeout_s = 60 + len(ids) / 200
        async with self._working(queue, handler, concurrency) as worker:
            if await delivery.wait(timeout_s=timeout_s, worker=worker):
                await _finished(queue, within_s=timeout_s)
            ended = time.perf_counter()
        return delivery.tally(), ended - (delivery.first_at or 0.0)

    async def _idle_starts(self, samples: int) -> list[float]:
        """Return the times from just before ``add`` to the handler's first line, one job at a time, in ms."""
        queue, chance = self._queue("idle"), random.Random(7)
        begun = asyncio.Event()
        begun_at = 0.0

        async def handler(_: Job) -> None:
            nonlocal begun_at
            begun_at = time.perf_counter()
            begun.set()

        starts: list[float] = []
        async with self._working(queue, handler, 1):
            for index in range(samples):
                # Long enough for the worker to have settled the last job and to listen again.
                await asyncio.sleep(0.005 + chance.random() * 0.01)
                begun.clear()
                before = time.perf_counter()
                await queue.add("send", payload(index))
                await asyncio.wait_for(begun.wait(), _IDLE_WITHIN_S)
                starts.append((begun_at - before) * 1_000)
        return starts

    async def _bytes(self, queue: Queue) -> int:
        """Sum what each key of the queue takes: unlike the server's total, no neighbour's keys are in it."""
        total = 0
        async for keys in self._keys(f"{self._prefix}:{queue.name}"):
            async with self._redis.pipeline(transaction=False) as pipeline:
                for key in keys:
                    pipeline.memory_usage(key, samples=0)
                total += sum(size or 0 for size in await pipeline.execute())
        return total

    async def _keys(self, start: str) -> AsyncIterator[list[bytes]]:
        cursor = 0
        while True:
            cursor, keys = await self._redis.scan(cursor, match=f"{start}:*", count=_KEYS_AT_ONCE)
            if keys:
                yield keys
            if cursor == 0:
                return

    @asynccontextmanager
    async def _working(self, queue: Queue, handler: Handler, concurrency: int) -> AsyncIterator[asyncio.Future[None]]:
        options = WorkerOptions(concurrency=concurrency)
        worker = Worker(queue.name, handler, self._connection, options, prefix=self._prefix)
        async with background(worker.run()) as task:
            yield task
            await worker.stop()

    def _queue(self, name: str) -> Queue:
        return Queue(name, self._connection, prefix=self._prefix)


async def _finished(queue: Queue, *, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        counts = await queue.counts()
        if counts[State.WAITING] + counts[State.ACTIVE] == 0:
            return
        await asyncio.sleep(0.001)
    raise TimeoutError(f"queue {queue.name!r} still held unfinished jobs after {within_s:g} s: {counts}")


async def measure(url: str, *, jobs: int, concurrency: int) -> Measurement:
    async with Connection.from_url(url) as connection, Redis.from_url(url) as redis:
        bench = EngineBench(connection, redis, prefix=f"bench{secrets.token_hex(6)}")
        try:
            return await bench.measure(jobs, concurrency=concurrency)
        finally:
            await bench.remove_keys()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--redis", required=True, help="address of a Redis or Valkey, as redis://host:port/db")
    parser.add_argument("--jobs", type=_positive, default=20_000)
    parser.add_argument("--concurrency", type=_positive, default=100)
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of a table")
    given = parser.parse_args()
    measured = asdict(run_loop(measure(given.redis, jobs=given.jobs, concurrency=given.concurrency)))
    if given.json:
        print(json.dumps(measured))
    else:
        for name, value in measured.items():
            print(f"{name:<24}{value:>14,}")
    if measured["delivered"] == given.jobs and measured["duplicates"] == 0:
        return 0
    print(
        f"wrong delivery: {measured['delivered']} of {given.jobs} jobs, {measured['duplicates']} too many",
        file=sys.stderr,
    )
    return 1


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("give 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
