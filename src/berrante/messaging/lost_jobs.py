"""Finds which jobs are gone, or ended without ending what they were for, and adds them again."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from berrante.engine import JobNotInState, NewJob, Queue


class Whereabouts(enum.Enum):
    """Where the job of a row stands."""

    GONE = "gone"
    AT_WORK = "at work"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class LostJobs:
    """The jobs of one queue, whose ids derive from rows."""

    queue: Queue

    async def whereabouts(self, job_ids: Sequence[str]) -> list[Whereabouts]:
        """Tell where each job stands, in one round trip and without a trace in the queue's events."""
        async with self.queue.connection.redis.pipeline(transaction=False) as pipeline:
            for job_id in job_ids:
                pipeline.hmget(self.queue.keys.job(job_id), ["name", "finishedOn", "returnvalue"])
            answers = cast("list[list[bytes | None]]", await pipeline.execute())
        return [_read(*answer) for answer in answers]

    async def add_again(self, job: NewJob) -> bool:
        """Add a job in place of the finished one of its id; False if that one runs (again) by now."""
        assert job.options is not None
        assert job.options.job_id is not None
        try:
            await self.queue.remove(job.options.job_id)
        except JobNotInState:
            return False
        await self.queue.add_bulk([job])
        return True


def _read(name: bytes | None, finished_on: bytes | None, return_value: bytes | None) -> Whereabouts:
    if name is None:
        return Whereabouts.GONE
    if not finished_on:
        return Whereabouts.AT_WORK
    # Not failedReason: a job that completed after a retry keeps the reason of its earlier run.
    return Whereabouts.FAILED if return_value is None else Whereabouts.COMPLETED
