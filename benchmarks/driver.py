"""The command line that each Python peer gives its library: one operation, one line of JSON.

``add-one N | add-bulk N | process N --concurrency C [--handler-ms M] | idle N``, each with ``--redis URL``. Standard
library only (and uvloop where the peer's environment has it): it runs in every peer's own environment.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from benchmarks.delivery import Delivery, percentile
from benchmarks.payload import payload, payloads

Payload = dict[str, Any]
AsyncHandler = Callable[[Payload], Awaitable[None]]
BlockingHandler = Callable[[Payload], None]

BULK = 1_000
_IDLE_WARM_UP = 3
_IDLE_WITHIN_S = 30.0
_END_WITHIN_S = 2.0


class Peer(Protocol):
    """A queue library as the bench sees it."""

    #: The call that adds many jobs; None if the library has none, and ``add_many`` then adds one by one or at once.
    bulk_api: str | None
    #: Handlers are threads, not coroutines.
    blocking: bool
    #: A worker that polls is met at a random moment of its interval: pauses between idle samples last up to this.
    idle_pause_s: float

    async def add(self, payload: Payload) -> None: ...

    async def add_many(self, payloads: list[Payload]) -> None: ...

    def working(self, concurrency: int, handle: Any) -> AbstractAsyncContextManager[asyncio.Future[None] | None]:
        """Run one worker; yields its task if its end would mean that something broke."""

    async def unfinished(self) -> int:
        """Count what the server still holds as waiting or running."""


@asynccontextmanager
async def background(work: Coroutine[Any, Any, Any]) -> AsyncIterator[asyncio.Future[None]]:
    """Run a library's worker as a task, and cancel it in the end."""
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        # Not every worker heeds it; what it would still do is of no interest, and the process ends soon.
        await asyncio.wait([task], timeout=_END_WITHIN_S)


Opener = Callable[[str], AbstractAsyncContextManager[Peer]]


async def add_one(peer: Peer, jobs: int) -> dict[str, Any]:
    todo = payloads(jobs)
    started, cpu_s = time.perf_counter(), time.process_time()
    for item in todo:
        await peer.add(item)
    return _rate(jobs, time.perf_counter() - started, time.process_time() - cpu_s)


async def add_bulk(peer: Peer, jobs: int) -> dict[str, Any]:
    todo = payloads(jobs)
    started, cpu_s = time.perf_counter(), time.process_time()
    for start in range(0, jobs, BULK):
        await peer.add_many(todo[start : start + BULK])
    answer = _rate(jobs, time.perf_counter() - started, time.process_time() - cpu_s)
    return {**answer, "bulk_api": peer.bulk_api}


async def process(peer: Peer, jobs: int, *, concurrency: int, handler_ms: float) -> dict[str, Any]:
    """Run jobs that were added before, from the first handler's first line until the server knows of the last end."""
    delivery = Delivery(range(jobs))
    timeout_s = 60 + jobs / 50
    handle = _handler(delivery, handler_ms, blocking=peer.blocking)
    async with peer.working(concurrency, handle) as worker:
        if await delivery.wait(timeout_s=timeout_s, worker=worker):
            await _settled(peer, within_s=timeout_s)
        ended, cpu_s = time.perf_counter(), time.process_time()
    tally = delivery.tally()
    seconds = ended - (delivery.first_at or ended)
    return {
        **_rate(tally.delivered, seconds, cpu_s - delivery.first_cpu_s),
        "concurrency": concurrency,
        "handler_ms": handler_ms,
        **vars(tally),
        "exact": tally.exact,
    }


async def idle(peer: Peer, samples: int) -> dict[str, Any]:
    """Add one job at a time to an idle worker; a sample is from just before the add to the handler's first line."""
    chance = random.Random(7)
    taken: list[float] = []
    started_at = 0.0
    ran = asyncio.Event()
    loop = asyncio.get_running_loop()
    runs: list[int] = []

    def note(item: Payload) -> None:
        nonlocal started_at
        started_at = time.perf_counter()
        runs.append(item["i"])
        loop.call_soon_threadsafe(ran.set)

    async def note_async(item: Payload) -> None:
        note(item)

    total = samples + _IDLE_WARM_UP
    async with peer.working(1, note if peer.blocking else note_async):
        for index in range(total):
            await asyncio.sleep(0.005 + chance.random() * peer.idle_pause_s)
            ran.clear()
            before = time.perf_counter()
            await peer.add(payload(index))
            await asyncio.wait_for(ran.wait(), _IDLE_WITHIN_S)
            taken.append((started_at - before) * 1_000)
        await _settled(peer, within_s=_IDLE_WITHIN_S)
    taken = taken[_IDLE_WARM_UP:]
    return {
        "jobs": samples,
        "samples_ms": [round(sample, 4) for sample in taken],
        "p50_ms": round(percentile(taken, 0.5), 4),
        "p99_ms": round(percentile(taken, 0.99), 4),
        "exact": sorted(runs) == list(range(total)),
    }


async def _settled(peer: Peer, *, within_s: float) -> None:
    """Wait until the server knows that every job ended."""
    deadline = time.monotonic() + within_s
    while left := await peer.unfinished():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the server still holds {left} unfinished jobs {within_s:g} s after the last one ran")
        await asyncio.sleep(0.001)


def _handler(delivery: Delivery, handler_ms: float, *, blocking: bool) -> AsyncHandler | BlockingHandler:
    seconds = handler_ms / 1_000

    async def handle(item: Payload) -> None:
        delivery.begin(item["i"])
        if seconds:
            await asyncio.sleep(seconds)

    def handle_blocking(item: Payload) -> None:
        delivery.begin(item["i"])
        if seconds:
            time.sleep(seconds)

    return handle_blocking if blocking else handle


def _rate(jobs: int, seconds: float, cpu_s: float) -> dict[str, Any]:
    per_s = jobs / seconds if seconds > 0 else 0.0
    return {"jobs": jobs, "seconds": round(seconds, 6), "per_s": round(per_s, 1), "client_cpu_s": round(cpu_s, 6)}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("operation", choices=["add-one", "add-bulk", "process", "idle"])
    parser.add_argument("count", type=int)
    parser.add_argument("--redis", required=True)
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--handler-ms", type=float, default=0.0)
    return parser.parse_args()


async def _drive(open_peer: Opener, given: argparse.Namespace) -> dict[str, Any]:
    async with open_peer(given.redis) as peer:
        match given.operation:
            case "add-one":
                return await add_one(peer, given.count)
            case "add-bulk":
                return await add_bulk(peer, given.count)
            case "process":
                return await process(peer, given.count, concurrency=given.concurrency, handler_ms=given.handler_ms)
            case _:
                return await idle(peer, given.count)


def run(open_peer: Opener) -> None:
    """Do what the command line asks for and print one line of JSON."""
    given = arguments()
    status = 1
    try:
        answer = run_loop(_drive(open_peer, given))
        print(json.dumps({"op": given.operation, **answer}))
        status = 0
    except Exception:  # noqa: BLE001  told in full, and the status says it
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    # Some libraries leave threads behind that would keep the process alive.
    os._exit(status)


def run_loop(main: Any) -> Any:
    """Run a coroutine on uvloop where there is one: the fastest loop for every peer alike."""
    try:
        import uvloop  # noqa: PLC0415  not in every environment
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)
