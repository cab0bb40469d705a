"""Runs handlers, and keeps what came of them until Redis has taken it."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection

from berrante.engine.errors import Unrecoverable
from berrante.engine.job import Job
from berrante.engine.notices import JobStarted, Listener
from berrante.engine.outcomes import Cancel
from berrante.engine.schedulers import Schedulers
from berrante.engine.settlement import Settlement, Settler
from berrante.engine.wire.endings import Complete

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
        self._called_off: dict[Job, tuple[Cancel, Callable[[], None]]] = {}
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

    def runs(self, job: Job) -> bool:
        """Tell whether the job's handler runs."""
        return job in self._running

    def find(self, job_id: str) -> Job | None:
        """Return the job of that id that is under a lock of ours."""
        return self._held.get(job_id)

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
        for task in self._running.values():
            _cancel_soon(task)

    def call_off(self, job: Job, reason: str, *, settled: Callable[[], None]) -> None:
        """Cancel one job's run: the job fails for good, unless its handler completes it all the same.

        ``settled`` is called once Redis took what came of the run.
        """
        if job in self._called_off:
            return
        self._called_off[job] = Cancel(reason), settled
        if task := self._running.get(job):
            _cancel_soon(task)

    def hurry(self) -> None:
        """Begin what waits for company, if anything does: the worker stops."""

    def cancel(self) -> None:
        """Cancel what runs, to leave it: its jobs run again once their locks expire."""
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

    def fail_instead(self, settlement: Settlement, reason: str) -> Settlement:
        """Fail a run for good that Redis does not let complete: its work is done, and must not be done again."""
        failed = self._settler.raised(settlement.job, Unrecoverable(reason), ran_ms=settlement.ran_ms)
        failed.official = True
        return failed

    def release(self, job: Job) -> None:
        """Forget a job that Redis took back."""
        if self._held.get(job.id) is job:
            del self._held[job.id]
        if self._called_off and (called_off := self._called_off.pop(job, None)):
            _, settled = called_off
            settled()

    async def _process(self, job: Job) -> None:
        started = self._now_ms()
        try:
            settlement = await self._outcome(job, started)
        except asyncio.CancelledError as cancelled:
            task = asyncio.current_task()
            if job in self._called_off:
                settlement = self._settler.returned(job, self._called_off[job][0], ran_ms=self._now_ms() - started)
            elif self._handing_back:
                settlement = self._settler.handed_back(job, because="the worker stops")
            elif task is None or task.cancelling():
                raise  # the worker itself was cancelled: the job runs again once its lock expires
            else:
                settlement = self._settler.raised(job, cancelled, ran_ms=self._now_ms() - started)
        if self._called_off and job in self._called_off and not isinstance(settlement.ending, Complete):
            settlement = self._settler.returned(job, self._called_off[job][0], ran_ms=settlement.ran_ms)
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


def _cancel_soon(task: asyncio.Task[None]) -> None:
    # Not at once: a task that is cancelled before its first step never takes it, and would count as running for ever.
    asyncio.get_running_loop().call_soon(task.cancel)
