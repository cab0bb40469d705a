"""What there is to see of many queues at once, read in one round trip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError

from berrante.engine.connection import Connection, is_unavailable
from berrante.engine.options import RateLimit
from berrante.engine.queue import Queue
from berrante.engine.state import State
from berrante.engine.worker_info import WorkerInfo, workers_among

_LISTS: Final = frozenset({State.WAITING, State.ACTIVE})
_PER_QUEUE: Final = len(State) + 6


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueSummary:
    """A queue as it stood a moment ago.

    ``counts`` has every state, with jobs that wait in groups among the waiting. ``concurrency`` and ``rate`` are the
    bounds that stand on the queue itself; ``limited_ms`` is how long it still gives nothing because of its rate.
    ``workers`` is None if the server would not tell: some providers forbid ``CLIENT LIST``.
    """

    counts: Mapping[State, int]
    paused: bool
    concurrency: int | None
    rate: RateLimit | None
    limited_ms: int
    schedulers: int
    workers: tuple[WorkerInfo, ...] | None


async def summarize(queues: Sequence[Queue]) -> list[QueueSummary]:
    """Look at queues of one connection, all in one pipeline, however many they are. Raises a ``RedisError``."""
    if not queues:
        return []
    async with queues[0].connection.redis.pipeline(transaction=False) as pipeline:
        for queue in queues:
            _ask(pipeline, queue)
        pipeline.client_list()
        *answers, clients = await pipeline.execute(raise_on_error=False)
    _raise_first(answers)
    parts = [answers[start : start + _PER_QUEUE] for start in range(0, len(answers), _PER_QUEUE)]
    return [_summary(part, _of(queue, clients)) for queue, part in zip(queues, parts, strict=True)]


async def connected_workers(queue: Queue) -> tuple[WorkerInfo, ...] | None:
    """List a queue's workers in all processes, Node's too, or None if the server forbids to ask."""
    try:
        return tuple(await queue.workers())
    except RedisError as error:
        if is_unavailable(error):
            raise
        return None


async def server_facts(connection: Connection) -> Mapping[str, Any]:
    """Return what the server says of itself (``INFO``)."""
    facts: Mapping[str, Any] = await connection.redis.info()
    return facts


def _ask(pipeline: Pipeline, queue: Queue) -> None:
    keys = queue.keys
    for state in State:
        key = keys.state(state.key)
        pipeline.llen(key) if state in _LISTS else pipeline.zcard(key)
    pipeline.llen(keys.paused)
    pipeline.hmget(keys.meta, ["paused", "concurrency", "max", "duration"])
    pipeline.zcard(keys.repeat)
    pipeline.get(keys.limiter)
    pipeline.pttl(keys.limiter)
    pipeline.get(keys.state("groups:count"))


def _summary(part: list[Any], workers: tuple[WorkerInfo, ...] | None) -> QueueSummary:
    counts: dict[State, int] = dict(zip(State, part, strict=False))
    of_version_5, (paused, concurrency, most, duration), schedulers, used, ttl_ms, grouped = part[len(State) :]
    counts[State.WAITING] += of_version_5 + int(grouped or 0)
    exhausted = most is None or int(most) <= int(used or 0)
    return QueueSummary(
        counts=counts,
        paused=paused is not None,
        concurrency=int(concurrency) if concurrency else None,
        rate=RateLimit(max=int(most), duration_ms=int(duration)) if most and duration else None,
        limited_ms=max(0, ttl_ms) if exhausted else 0,
        schedulers=schedulers,
        workers=workers,
    )


def _of(queue: Queue, clients: list[dict[str, Any]] | Exception) -> tuple[WorkerInfo, ...] | None:
    return None if isinstance(clients, Exception) else workers_among(clients, queue.keys)


def _raise_first(answers: list[Any]) -> None:
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
