"""Figures of the machine at hand: how many jobs a second, and how long one takes when nothing waits."""

import statistics
import time
from typing import Final

from berrante.app.smoke.lab import QUEUE, open_lab
from berrante.engine import Connection, Job, NewJob, WorkerOptions
from berrante.engine.notices import JobCompleted

_JOBS: Final = 5_000
_ALONE: Final = 100


async def measure(connection: Connection) -> dict[str, str]:
    """Measure; leaves no key behind."""

    async def handle(_: Job) -> object:
        return None

    async with open_lab(connection) as lab:
        started = time.perf_counter()
        await lab.queue.add_bulk([NewJob("a", {"n": number}) for number in range(_JOBS)])
        added_s = time.perf_counter() - started
        started = time.perf_counter()
        async with lab.working(handle, WorkerOptions(concurrency=100)):
            await lab.told(JobCompleted, _JOBS)
            worked_s = time.perf_counter() - started
    async with open_lab(connection) as lab:
        latencies: list[float] = []
        async with lab.working(handle, WorkerOptions(concurrency=1)):
            for number in range(1, _ALONE + 1):
                started = time.perf_counter()
                await lab.queue.add("b", {})
                await lab.told(JobCompleted, number)
                latencies.append((time.perf_counter() - started) * 1_000)
    latencies.sort()
    return {
        f"adding {_JOBS} jobs in bulk": f"{_JOBS / added_s:,.0f} jobs/s",
        f"processing them, 100 at once, queue {QUEUE!r}": f"{_JOBS / worked_s:,.0f} jobs/s",
        "one job from add to completion, idle worker, median": f"{statistics.median(latencies):.1f} ms",
        "the same, 95 of 100 within": f"{latencies[int(0.95 * _ALONE) - 1]:.1f} ms",
    }
