"""An exact count of what a worker ran. Standard library only: every Python peer imports it."""

import asyncio
import time
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How often jobs ran: ``delivered`` and ``missing`` count the expected jobs, ``duplicates`` the runs too many.

    ``unexpected`` counts runs of jobs that nobody added.
    """

    delivered: int
    missing: int
    duplicates: int
    unexpected: int

    @property
    def exact(self) -> bool:
        return not (self.missing or self.duplicates or self.unexpected)


class Delivery:
    """Notes each run at the handler's first line; safe to call from many threads.

    The clocks start at the first run: what a worker needs to start up is not part of its rate.
    """

    def __init__(self, expected: Sequence[Hashable]) -> None:
        self.first_at: float | None = None
        self.first_cpu_s = 0.0
        self.last_at = 0.0
        self._expected = frozenset(expected)
        self._count = len(expected)
        self._ran: list[Hashable] = []
        self._loop = asyncio.get_running_loop()
        self._all_ran = asyncio.Event()

    def begin(self, job: Hashable) -> None:
        if self.first_at is None:
            self.first_at, self.first_cpu_s = time.perf_counter(), time.process_time()
        # list.append is atomic, a counter's += is not: handlers of some peers are threads.
        self._ran.append(job)
        if len(self._ran) >= self._count:
            self.last_at = time.perf_counter()
            self._loop.call_soon_threadsafe(self._all_ran.set)

    async def wait(self, *, timeout_s: float, worker: asyncio.Future[None] | None = None) -> bool:
        """Wait until as many jobs ran as were added; False after ``timeout_s``. Raises what ended the worker."""
        all_ran = asyncio.ensure_future(self._all_ran.wait())
        try:
            await asyncio.wait(
                [all_ran, *([worker] if worker else [])], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            if worker is not None and worker.done():
                worker.result()
                raise RuntimeError("the worker ended before its jobs did")
            return all_ran.done()
        finally:
            all_ran.cancel()

    def tally(self) -> Tally:
        runs = Counter(self._ran)
        delivered = sum(1 for job in self._expected if runs[job])
        return Tally(
            delivered=delivered,
            missing=len(self._expected) - delivered,
            duplicates=sum(count - 1 for count in runs.values()),
            unexpected=sum(1 for job in runs if job not in self._expected),
        )


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the sample that ``share`` of all samples do not exceed (nearest rank)."""
    ranked = sorted(samples)
    return ranked[min(len(ranked) - 1, max(0, -int(-len(ranked) * share // 1) - 1))]
