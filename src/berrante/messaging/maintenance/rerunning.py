"""Runs failed jobs again, those that fit a reason, without doing twice what a dead letter put back already."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from berrante.engine.failed_jobs import FailedJobs
from berrante.messaging.queues import QueueName, Queues


@dataclass(frozen=True, kw_only=True, slots=True)
class Reruns:
    """What became of a queue's failed jobs that fit: ``put_back`` ones run again already, by their dead letter."""

    queue: QueueName
    fit: int
    rerun: int
    put_back: int


class Rerunning:
    """Failed jobs of some queues; ``reason`` is a part of the failure's text, in whatever case; ``limit`` is in all."""

    def __init__(
        self, queues: Queues, *, names: Sequence[QueueName], reason: str | None = None, limit: int | None = None
    ) -> None:
        self._queues = queues
        self._names = names
        self._reason = (reason or "").casefold()
        self._limit = limit
        self._until_ms = queues.connection.now_ms()

    async def count(self) -> Sequence[Reruns]:
        """Count what ``rerun`` would run again."""
        return await self._each(dry=True, progress=lambda _: None)

    async def rerun(self, progress: Callable[[int], None]) -> Sequence[Reruns]:
        """Run them again, the oldest first; ``progress`` is told how many were so far. Safe to cut off and repeat."""
        return await self._each(dry=False, progress=progress)

    async def _each(self, *, dry: bool, progress: Callable[[int], None]) -> Sequence[Reruns]:
        results: list[Reruns] = []
        room, done = self._limit, 0
        for name in self._names:
            jobs_of = FailedJobs(self._queues[name], self._queues.dead_letters)
            letters = await jobs_of.letters()
            fit = rerun = put_back = 0
            async for jobs in jobs_of.scan(until_ms=self._until_ms):
                fitting = [job for job in jobs if self._reason in (job.failed_reason or "").casefold()]
                free = [job for job in fitting if not letters.forbids(job.id)][:room]
                put_back += sum([letters.forbids(job.id) for job in fitting])
                acted = len(free) if dry else await jobs_of.rerun(free, letters)
                fit, rerun, done = fit + len(fitting), rerun + acted, done + acted
                room = None if room is None else room - len(free)
                progress(done)
                if room == 0:
                    break
            results.append(Reruns(queue=name, fit=fit, rerun=rerun, put_back=put_back))
        return results
