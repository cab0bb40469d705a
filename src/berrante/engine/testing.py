"""For tests of programs that use the engine: a clock that is moved, queues that are worked off, jobs that are expected.

They work on a real server; ``berrante.testing`` starts one. See ``docs/testing.md``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from berrante.engine.batches import BatchHandler
from berrante.engine.doorbell import NOW
from berrante.engine.job import Job
from berrante.engine.notices import (
    JobCompleted,
    JobFailed,
    JobHandedBack,
    JobLockLost,
    JobRetried,
    JobSnoozed,
    Notice,
    OutcomeRefused,
)
from berrante.engine.options import WorkerOptions
from berrante.engine.queue import Queue
from berrante.engine.runner import Handler
from berrante.engine.state import State
from berrante.engine.wire.codec import Json, encode
from berrante.engine.worker import Worker

Ended = JobCompleted | JobRetried | JobFailed | JobSnoozed | JobHandedBack | JobLockLost | OutcomeRefused

_TO_COME: Final = (State.WAITING, State.PRIORITIZED, State.DELAYED, State.WAITING_CHILDREN)
_LISTED: Final = 20
_SHOWN: Final = 300  # characters of a job's data


class MovableClock:
    """A clock for ``Connection(clock=...)`` that stands still until it is moved; milliseconds since the epoch.

    Due times, retention by age and metrics follow it. What Redis itself lets expire follows Redis's clock: locks and
    rate limits.

    >>> clock = MovableClock(1_700_000_000_000)
    >>> clock.advance(250)
    >>> clock()
    1700000000250
    """

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms

    def __call__(self) -> int:
        return self._now_ms

    def advance(self, ms: int) -> None:
        """Move the clock; delayed jobs that are due now are found by the next ``process_all`` or ``ring``."""
        if ms < 0:
            raise ValueError(f"ms is {ms}: a queue's clock does not go back; give 0 or more")
        self._now_ms += ms


async def process_all(
    queue: Queue, handler: Handler | BatchHandler, options: WorkerOptions | None = None
) -> list[Ended]:
    """Run ``handler`` until no job waits or is due by the connection's clock; return how the runs ended, in order.

    Jobs that are retried or snoozed run again as far as they are due; whatever lies later stays delayed. Jobs that
    handlers add to this queue are run too. Returns at once if the queue is paused, or limited.
    """
    ended: list[Ended] = []

    def listen(notice: Notice) -> None:
        if isinstance(notice, Ended):
            ended.append(notice)

    options = options or WorkerOptions()
    await Worker(
        queue.name,
        handler,
        queue.connection,
        replace(options, name=options.name or "process_all"),
        prefix=queue.prefix,
        listener=listen,
    ).work_off()
    return ended


async def ring(queue: Queue) -> None:
    """Have an idle worker of the queue look for jobs at once: it cannot see that a ``MovableClock`` was moved."""
    await queue.connection.redis.zadd(queue.keys.marker, {NOW: 0})


async def assert_enqueued(
    queue: Queue, *, name: str | None = None, data: Json = ..., count: int | None = None
) -> list[Job]:
    """Assert that such jobs wait, now or for later, and return them; with ``count`` exactly so many, else at least one.

    A mapping in ``data`` asks for its own keys only, at any depth; anything else must be equal. The message shows what
    is there instead.
    """
    there = [(state, job) for state in _TO_COME for job in await queue.jobs([state], end=-1, oldest_first=True)]
    found = [job for _, job in there if name in (None, job.name) and (data is ... or _contains(job.data, data))]
    if len(found) != count if count is not None else not found:
        what = f"job {name!r}" if name else "job"
        what += "" if data is ... else f" with {_short(encode(data))}"
        wanted = f"{'at least 1' if count is None else count} {what}"
        raise AssertionError(
            "\n".join(
                [f"expected {wanted} in queue {queue.name!r}, found {len(found)} among {len(there)}:", *_lines(there)]
            )
        )
    return found


def _contains(actual: Json, expected: Json) -> bool:
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return all(key in actual and _contains(actual[key], value) for key, value in expected.items())
    return bool(actual == expected)


def _lines(there: Sequence[tuple[State, Job]]) -> list[str]:
    lines = [f"  {job.id} {job.name!r} {state.value} {_short(job.raw_data)}" for state, job in there[:_LISTED]]
    return lines if len(there) <= _LISTED else [*lines, f"  … and {len(there) - _LISTED} more"]


def _short(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
