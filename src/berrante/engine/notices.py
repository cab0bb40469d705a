"""What a worker tells its listener: one typed value per thing that happened. Logs and metrics are made of these.

A notice of an outcome comes only after Redis took the outcome.
"""

from collections.abc import Callable

import msgspec

from berrante.engine.job import Job


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Anything that a worker of ``queue`` tells."""

    queue: str


class WorkerStarted(Notice, frozen=True, kw_only=True):
    """The worker began to take jobs."""

    worker: str
    concurrency: int


class WorkerStopped(Notice, frozen=True, kw_only=True):
    """The worker ended; ``unsettled`` outcomes did not reach Redis: those jobs run again once their lock expires."""

    worker: str
    handed_back: int
    unsettled: int


class JobStarted(Notice, frozen=True, kw_only=True):
    """A handler begins."""

    job: Job


class JobCompleted(Notice, frozen=True, kw_only=True):
    """A job is done."""

    job: Job
    ran_ms: int


class JobRetried(Notice, frozen=True, kw_only=True):
    """A run failed; the job runs again after ``delay_ms``."""

    job: Job
    ran_ms: int
    reason: str
    delay_ms: int


class JobFailed(Notice, frozen=True, kw_only=True):
    """A job failed for good, ``because`` its attempts are exhausted or retrying cannot help."""

    job: Job
    ran_ms: int
    reason: str
    because: str
    dead_letter_id: str | None


class JobSnoozed(Notice, frozen=True, kw_only=True):
    """A job runs again after ``delay_ms``, uncharged."""

    job: Job
    ran_ms: int
    delay_ms: int


class JobHandedBack(Notice, frozen=True, kw_only=True):
    """A job went back to the head of its queue, uncharged: the worker stops, or the other side limits us."""

    job: Job
    because: str


class JobLockLost(Notice, frozen=True, kw_only=True):
    """Another worker may run the job; what this one did may have been done twice."""

    job: Job
    during: str


class OutcomeRefused(Notice, frozen=True, kw_only=True):
    """Redis refused an outcome for a reason that waiting does not mend; the job runs again once its lock expires."""

    job: Job
    error: str


class JobsStalled(Notice, frozen=True, kw_only=True):
    """These jobs' workers fell silent; they wait again."""

    job_ids: tuple[str, ...]


class JobsUnreadable(Notice, frozen=True, kw_only=True):
    """These ids stood in a list of jobs, but no hash belongs to them; they were taken out of the way."""

    job_ids: tuple[str, ...]


class RedisLost(Notice, frozen=True, kw_only=True):
    """Redis is away or refuses to write; outcomes are kept and sent again, handlers go on."""

    error: str
    retry_ms: int
    unsettled: int


class RedisRegained(Notice, frozen=True, kw_only=True):
    """Redis is back."""

    away_ms: int


Listener = Callable[[Notice], None]
