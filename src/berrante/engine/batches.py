"""Many jobs in one run: a worker's jobs are gathered, handled together, and settled each by its own outcome."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import groupby
from typing import Final

from berrante.engine.errors import Unrecoverable
from berrante.engine.job import Job
from berrante.engine.notices import Listener
from berrante.engine.options import Batch
from berrante.engine.runner import Handler, Runner
from berrante.engine.schedulers import Schedulers
from berrante.engine.settlement import Settler

#: Answers with a mapping by job id: an ``Outcome``, a value, or an exception, which counts as raised by that job
#: alone; jobs that it does not name are done. Any other answer holds for all jobs, and so does what is raised.
BatchHandler = Callable[[Sequence[Job]], Awaitable[object]]

_TICK_S: Final = 0.001  # an event loop's clock is no finer


class Batches:
    """A handler of single jobs, made of one of batches.

    A batch begins when it is full, or ``wait_ms`` after its first job came, once fewer than ``concurrency`` run. It is
    cancelled when all of its jobs are; if only some are, it runs on for the sake of the others.

    Jobs of one group that were taken together are one run of it, and stay together, in order: a batch that has no room
    for all of them begins without them.
    """

    def __init__(self, handler: BatchHandler, options: Batch, *, concurrency: int) -> None:
        self.padding = 0  # places that running batches leave empty: no other job may have them
        self._handler = handler
        self._size = options.size
        self._alone = options.alone
        self._wait_s = options.wait_ms / 1_000
        self._concurrency = concurrency
        self._gathered: list[_Place] = []
        self._running: set[_Run] = set()
        self._alarm: asyncio.TimerHandle | None = None

    async def __call__(self, job: Job) -> object:
        """Have a job handled together with others; return or raise what came of it alone."""
        place = _Place(job)
        self._gathered.append(place)
        if len(self._gathered) >= self._size:
            self._begin(only_full=True)  # more of the same turn may be just about to come
        elif self._alarm is None:
            self._arm()
        try:
            answer = await asyncio.shield(place.answer)
        except asyncio.CancelledError:
            if place in self._gathered:
                self._gathered.remove(place)
                raise
            if place.run and not place.answer.done():
                place.run.leave(place)
            answer = await place.answer
        if isinstance(answer, _Raised):
            # All jobs of a batch may raise the same: each starts from the trace of where it was raised first.
            raise answer.error.with_traceback(answer.trace)
        return answer

    def hurry(self) -> None:
        """Wait for no more jobs, now or later."""
        self._wait_s = 0
        self._begin()

    def _begin(self, *, only_full: bool = False) -> None:
        while len(self._running) < self._concurrency and (
            len(self._gathered) >= self._size or (self._is_due() and not only_full)
        ):
            together = self._together()
            places, self._gathered = self._gathered[:together], self._gathered[together:]
            self.padding += self._size - len(places)
            run = _Run(places)
            self._running.add(run)
            run.task = asyncio.create_task(self._handle(run))
        self._arm()

    def _together(self) -> int:
        """Count the jobs that begin now: as many as fit, and no part of those that must stay together."""
        count = 0
        for _, mates in groupby(self._gathered, key=lambda place: place.job.slot):
            together = list(mates)
            alone = together[0].job.name in self._alone
            # Some of the mates may be just about to come.
            if count and (alone or count + together[0].job.batch_mates > self._size):
                break
            count += len(together)
            if alone or count >= self._size:
                break
        return count

    def _is_due(self) -> bool:
        return bool(self._gathered) and self._now() + _TICK_S >= self._gathered[0].came_at + self._wait_s

    def _arm(self) -> None:
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None
        if self._gathered and len(self._running) < self._concurrency:  # else the end of a run begins the next
            # Without a wait too this is a tick away: all jobs of a turn come within one, and go together.
            self._alarm = asyncio.get_running_loop().call_at(self._gathered[0].came_at + self._wait_s, self._begin)

    async def _handle(self, run: "_Run") -> None:
        jobs = [place.job for place in run.places]
        try:
            answers = _answers(jobs, await self._handler(jobs))
        except asyncio.CancelledError:
            for place in run.places:
                place.answer.cancel()
            raise
        except Exception as error:  # noqa: BLE001  whatever a handler raises is a failed attempt of each job
            answers = [_Raised(error)] * len(jobs)
        finally:
            self.padding -= self._size - len(jobs)
            self._running.remove(run)
            self._begin()
        for place, answer in zip(run.places, answers, strict=True):
            if not place.answer.done():
                place.answer.set_result(answer)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


class BatchRunner(Runner):
    """A runner whose jobs are handled in batches; ``handler`` ends in ``batches``."""

    def __init__(
        self,
        batches: Batches,
        handler: Handler,
        settler: Settler,
        schedulers: Schedulers,
        *,
        now_ms: Callable[[], int],
        wake: asyncio.Event,
        listener: Listener | None,
    ) -> None:
        super().__init__(handler, settler, schedulers, now_ms=now_ms, wake=wake, listener=listener)
        self._batches = batches

    @property
    def running(self) -> int:
        """How many places of batches are taken, those that stay empty included."""
        return super().running + self._batches.padding

    def hurry(self) -> None:
        """Begin what was gathered."""
        self._batches.hurry()


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.trace = error.__traceback__


class _Place:
    """A job that is gathered, or in a run, and what came of it."""

    def __init__(self, job: Job) -> None:
        loop = asyncio.get_running_loop()
        self.job = job
        self.came_at = loop.time()
        self.answer: asyncio.Future[object] = loop.create_future()
        self.run: _Run | None = None


class _Run:
    """One batch under way."""

    task: asyncio.Task[None]

    def __init__(self, places: list[_Place]) -> None:
        self.places = places
        self._wanted = set(places)
        for place in places:
            place.run = self

    def leave(self, place: _Place) -> None:
        """Say that a job was cancelled; the last one cancels the run."""
        self._wanted.discard(place)
        if not self._wanted:
            # Not at once: a task that is cancelled before its first step never takes it, and would never be over.
            asyncio.get_running_loop().call_soon(self.task.cancel)


def _answers(jobs: Sequence[Job], answer: object) -> list[object]:
    if not isinstance(answer, Mapping):
        return [_answer(answer)] * len(jobs)
    unnamed: object = None
    if unknown := set(answer) - {job.id for job in jobs}:
        # The work is done and its outcome lost: to run it again would do it twice.
        names = sorted(map(repr, unknown))
        unnamed = _Raised(Unrecoverable(f"the batch's handler answered for no job of its own: {', '.join(names)}"))
    return [_answer(answer[job.id]) if job.id in answer else unnamed for job in jobs]


def _answer(value: object) -> object:
    return _Raised(value) if isinstance(value, BaseException) else value
