"""How a queue stands at a moment: what operators watch beside its counts."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from berrante.engine.errors import InvalidPayload
from berrante.engine.inspection import QueueSummary, summarize
from berrante.engine.job import Job
from berrante.engine.queue import Queue
from berrante.engine.state import State

#: In the score of a prioritized job, what counts the jobs of one priority.
_PER_PRIORITY: Final = 0x100000000
_MOST_PRIORITIES: Final = 8
#: Of more groups than these, the others' first jobs are not looked at: the wait may then be longer than is told.
_MOST_GROUPS: Final = 100
_MOST_ACTIVE: Final = 1_000
_MINUTES: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueState:
    """How a queue stands; ``workers`` is None where the server does not let us list its clients.

    ``oldest_waiting_ms`` is the longest wait among the jobs that could run, None if none waits; ``stalled`` counts
    active jobs whose worker fell silent. ``completed_per_minute`` and ``failed_per_minute`` are means over five
    minutes, over all workers that count.
    """

    counts: Mapping[State, int]
    paused: bool
    oldest_waiting_ms: int | None
    stalled: int
    workers: int | None
    completed_per_minute: float
    failed_per_minute: float


async def queue_states(queues: Sequence[Queue]) -> list[QueueState]:
    """Look at queues that share a connection."""
    summaries = await summarize(queues)
    return list(await asyncio.gather(*(_state(*pair) for pair in zip(queues, summaries, strict=True))))


async def _state(queue: Queue, summary: QueueSummary) -> QueueState:
    oldest, stalled, completed, failed = await asyncio.gather(
        _oldest_waiting_ms(queue),
        _stalled(queue),
        _per_minute(queue, State.COMPLETED),
        _per_minute(queue, State.FAILED),
    )
    return QueueState(
        counts=summary.counts,
        paused=summary.paused,
        oldest_waiting_ms=oldest,
        stalled=stalled,
        workers=None if summary.workers is None else len(summary.workers),
        completed_per_minute=completed,
        failed_per_minute=failed,
    )


async def _oldest_waiting_ms(queue: Queue) -> int | None:
    redis, keys = queue.connection.redis, queue.keys
    heads = [await redis.lindex(keys.wait, -1), await redis.lindex(keys.paused, -1)]
    low: float | str = "-inf"
    for _ in range(_MOST_PRIORITIES):  # the oldest of each priority, since a lower one may starve
        found = cast(
            "Sequence[tuple[bytes, float]]",
            await redis.zrangebyscore(keys.prioritized, low, "+inf", start=0, num=1, withscores=True),
        )
        if not found:
            break
        heads.append(found[0][0])
        low = (found[0][1] // _PER_PRIORITY + 1) * _PER_PRIORITY
    jobs = [await queue.get(head.decode()) for head in cast("Sequence[bytes | None]", heads) if head]
    _, groups = await queue.groups.list(count=_MOST_GROUPS)
    for first in await asyncio.gather(*(queue.groups.jobs(group, count=1) for group in groups)):
        jobs += first
    since = [_since_ms(job) for job in jobs if job is not None]
    return max(0, queue.connection.now_ms() - min(since)) if since else None


def _since_ms(job: Job) -> int:
    """Tell since when a job could have run: its first time, or after its last run."""
    try:
        delay_ms = job.options.delay_ms
    except InvalidPayload:
        delay_ms = 0
    return max(job.timestamp_ms + delay_ms, job.processed_on_ms or 0)


async def _stalled(queue: Queue) -> int:
    redis, keys = queue.connection.redis, queue.keys
    ids = cast("Sequence[bytes]", await redis.lrange(keys.active, 0, _MOST_ACTIVE - 1))
    if not ids:
        return 0
    async with redis.pipeline(transaction=False) as pipeline:
        for job_id in ids:
            # Both at one moment: a job that ends between two questions is no stalled one.
            pipeline.exists(f"{keys.job(job_id.decode())}:lock")
            pipeline.hmget(keys.job(job_id.decode()), ["processedOn", "finishedOn"])
        answers = await pipeline.execute()
    active = set(cast("Sequence[bytes]", await redis.lrange(keys.active, 0, _MOST_ACTIVE - 1)))
    locks, times = answers[::2], answers[1::2]
    return sum(
        [
            not locked and started is not None and finished is None and job_id in active
            for job_id, locked, (started, finished) in zip(ids, locks, times, strict=True)
        ]
    )


async def _per_minute(queue: Queue, state: State) -> float:
    metrics = await queue.metrics(state, start=0, end=_MINUTES - 1)
    if not metrics.counted_at_ms:
        return 0.0
    # The latest point stands where a job last ended: minutes without a job since then have none.
    silent = max(0, queue.connection.now_ms() - metrics.counted_at_ms) // 60_000
    return sum(metrics.per_minute[: max(0, _MINUTES - silent)]) / _MINUTES
