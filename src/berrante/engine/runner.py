"""Runs handlers, and keeps what came of them until Redis has taken it."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection

from berrante.engine.job import Job
from berrante.engine.notices import JobStarted, Listener
from berrante.engine.schedulers import Schedulers
from berrante.engine.settlement import Settlement, Settler

Handler = Callable[[Job], Awaitable[object]]


class Runner:
    """The jobs of one worker: those that run, and those that ended and wait to be settled.

    ``wake`` is set whenever a run ends.
    """

    def __init__(
        self,
        handler: Handler,
        settler: Settler,
        schedulers: Schedulers,
        *,
        now_ms: Callable[[], int],
        wake: asyncio.Event,
        listener: Listener | None,
    ) -> None:
        self.settling: deque[Settlement] = deque()
        self._handler = handler
        self._settler = settler
        self._schedulers = schedulers
        self._now_ms = now_ms
        self._wake = wake
        self._tell = listener
        self._queue = schedulers.keys.queue
        self._running: dict[Job, asyncio.Task[None]] = {}
        self._held: dict[str, Job] = {}
        self._claimed = 0
        self._handing_back = False

    @property
    def running(self) -> int:
        """How many handlers run."""
        return len(self._running)

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing runs and nothing waits to be settled."""
        return not self._running and not self.settling and not self._claimed

    @property
    def held(self) -> Collection[Job]:
        """The jobs under a lock of ours."""
        return self._held.values()

    def start(self, job: Job) -> None:
        """Run the handler on a job that was just taken."""
        older = self._held.get(job.id)
        if older is not None:  # its lock expired, and we are the ones who took it again
            older.lock_lost.set()
        self._held[job.id] = job
        self._running[job] = asyncio.create_task(self._process(job))

    def hand_back_all(self) -> None:
        """Cancel what runs; the jobs go back uncharged."""
        self._handing_back = True
        self.cancel()

    def cancel(self) -> None:
        """Cancel what runs; without ``hand_back_all`` its jobs run again once their locks expire."""
        for task in list(self._running.values()):
            task.cancel()

    def hand_back(self, job: Job, *, because: str) -> None:
        """Give a job back that was never started."""
        self._held[job.id] = job  # or it would be found, and handed back, again
        self.settling.append(self._settler.handed_back(job, because=because))

    def claim(self, most: int) -> list[Settlement]:
        """Take up to ``most`` settlements, oldest first, to tell Redis of them; all of one kind of telling."""
        claimed: list[Settlement] = []
        settling = self.settling
        while settling and len(claimed) < most:
            if claimed and settling[0].official is not claimed[0].official:
                break
            claimed.append(settling.popleft())
        self._claimed += len(claimed)
        return claimed

    def unclaim(self, claimed: list[Settlement], again: list[Settlement]) -> None:
        """Be done with what was claimed, except for ``again``, which goes first next time."""
        self._claimed -= len(claimed)
        self.settling.extendleft(reversed(again))
        if again or self.is_idle:
            self._wake.set()

    def release(self, job: Job) -> None:
        """Forget a job that Redis took back."""
        if self._held.get(job.id) is job:
            del self._held[job.id]

    async def _process(self, job: Job) -> None:
        started = self._now_ms()
        try:
            settlement = await self._outcome(job, started)
        except asyncio.CancelledError as cancelled:
            task = asyncio.current_task()
            if self._handing_back:
                settlement = self._settler.handed_back(job, because="the worker stops")
            elif task is None or task.cancelling():
                raise  # the worker itself was cancelled: the job runs again once its lock expires
            else:
                settlement = self._settler.raised(job, cancelled, ran_ms=self._now_ms() - started)
        settlement.official = not job.is_plain
        del self._running[job]
        self.settling.append(settlement)
        self._wake.set()

    async def _outcome(self, job: Job, started_ms: int) -> Settlement:
        try:
            if reason := job.deferred_failure:
                return self._settler.deferred(job, reason)
            _ = job.data, job.options  # unreadable ones end here, before any effect
            if job.scheduler_id:
                await self._schedulers.advance(job)
            if self._tell:
                self._tell(JobStarted(queue=self._queue, job=job))
            outcome = await self._handler(job)
        except Exception as error:  # noqa: BLE001  whatever a handler raises is a failed attempt
            return self._settler.raised(job, error, ran_ms=self._now_ms() - started_ms)
        return self._settler.returned(job, outcome, ran_ms=self._now_ms() - started_ms)
