"""What an operator does to a queue by hand, in BullMQ's own manner, beyond ``Queue`` itself."""

from dataclasses import dataclass
from typing import Final

from berrante.engine.errors import InvalidPayload
from berrante.engine.job import Job
from berrante.engine.options import RateLimit
from berrante.engine.queue import Queue
from berrante.engine.state import State
from berrante.engine.wire import administering
from berrante.engine.wire.codes import raise_for
from berrante.engine.wire.scripts import Call

_PAGE: Final = 100
_CLEANED_PER_CALL: Final = 10_000  # Node's own; the server is busy with a call for some 50 ms


@dataclass(frozen=True, kw_only=True, slots=True)
class Retried:
    """How many jobs run again, and how many of those that were counted first do not: they had moved on."""

    retried: int
    skipped: int


async def retry_on(queue: Queue, job: Job, state: State) -> None:
    """Run a failed or completed job again, its attempts counted on, as Node's ``job.retry`` does.

    ``Queue.retry`` counts them anew. Raises ``JobMissing`` or ``JobNotInState``.
    """
    answer: int = await queue.connection.run(run_again(queue, job, state, anew=False))
    if answer < 0:
        raise_for(answer, job_id=job.id, during="retry", state=state)


async def retry_each(queue: Queue, state: State) -> Retried:
    """Run all failed, or completed, jobs again that are there now, each once, a hundred per round trip.

    Jobs with a priority keep it, which ``Queue.retry_all`` does not promise.
    """
    total = (await queue.counts())[state]
    seen: set[str] = set()
    retried = 0
    while len(seen) < total:
        page = await queue.jobs([state], start=0, end=_PAGE - 1)
        fresh = [job for job in page if job.id not in seen][: total - len(seen)]
        if not fresh:
            break  # what is there now came back, or came, after the count
        seen.update(job.id for job in fresh)
        for answer in await queue.connection.run_all([run_again(queue, job, state, anew=False) for job in fresh]):
            if isinstance(answer, Exception):
                raise answer
            retried += answer == 1
    return Retried(retried=retried, skipped=total - retried)


async def clean_all(queue: Queue, state: State, *, older_than_ms: int) -> int:
    """Remove all jobs of a state that are older, and return how many they were."""
    removed = 0
    while True:
        ids = await queue.clean(state, older_than_ms=older_than_ms, limit=_CLEANED_PER_CALL)
        removed += len(ids)
        if len(ids) < _CLEANED_PER_CALL:
            return removed


async def rate_of(queue: Queue) -> RateLimit | None:
    """Return the limit that stands on the queue itself."""
    most, duration = await queue.connection.redis.hmget(queue.keys.meta, ["max", "duration"])
    return RateLimit(max=int(most), duration_ms=int(duration)) if most and duration else None


async def remove_rate(queue: Queue) -> None:
    """Take the limit that stands on the queue itself away; workers' own limits stay."""
    await queue.connection.redis.hdel(queue.keys.meta, "max", "duration")


async def release_rate(queue: Queue) -> None:
    """Let the queue give jobs at once, though its window is used up; the next window is limited again."""
    await queue.connection.redis.delete(queue.keys.limiter)


def run_again(queue: Queue, job: Job, state: State, *, anew: bool) -> Call:
    """Say that a finished job runs again, with ``anew`` from its first attempt; one that cannot be read, too."""
    try:
        lifo = job.options.lifo
    except InvalidPayload:
        lifo = False
    return administering.reprocess(queue.keys, job_id=job.id, state_=state, lifo=lifo, anew=anew)
