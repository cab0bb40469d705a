"""Limits that one side sets hold for the workers of the other."""

from collections.abc import Iterable
from typing import cast

import pytest

from berrante.engine import Connection, JobOptions, NewJob, Queue, RateLimit, WorkerOptions
from tests.contract.conftest import Pair
from tests.contract.observing import finished, job, until
from tests.contract.sides import Nodes, Ours, Script, Side

WINDOW_MS = 400


async def _starts(queue: Queue, ids: Iterable[str]) -> list[int]:
    """When each job was taken, by the server's clock: the ids of the ``active`` events."""
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", await queue.connection.redis.xrange(queue.keys.events))
    at = {
        fields[b"jobId"].decode(): int(entry.split(b"-")[0])
        for entry, fields in entries
        if fields[b"event"] == b"active"
    }
    return sorted(at[job_id] for job_id in ids)


async def _most_at_once(queue: Queue) -> int:
    """How many jobs were active at once, from the queue's own history."""
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", await queue.connection.redis.xrange(queue.keys.events))
    now = most = 0
    for _, fields in entries:
        now += {b"active": 1, b"completed": -1, b"failed": -1}.get(fields[b"event"], 0)
        most = max(most, now)
    return most


def _assert_windows(starts: list[int], *, size: int) -> None:
    for earlier, later in zip(starts, starts[size:], strict=False):
        assert later - earlier >= WINDOW_MS - 5, starts
    # Six jobs are three windows; a worker that only looks again after its 5 s block takes far longer.
    assert starts[-1] - starts[0] < 5_000, starts


async def test_a_rate_set_on_the_queue_holds_for_the_other(pair: Pair, queue: Queue) -> None:
    await pair.adds.limit(max_jobs=2, duration_ms=WINDOW_MS)
    ids = await pair.adds.add_bulk([NewJob("n", n) for n in range(6)])
    async with pair.works.work(Script(), WorkerOptions(concurrency=6)):
        await finished(queue, *ids)
    _assert_windows(await _starts(queue, ids), size=2)


async def test_a_workers_own_rate_is_counted_together_with_the_others(ours: Ours, nodes: Nodes, queue: Queue) -> None:
    options = WorkerOptions(concurrency=6, rate=RateLimit(max=2, duration_ms=WINDOW_MS))
    ids = await ours.add_bulk([NewJob("n", n) for n in range(6)])
    async with ours.work(Script(), options), nodes.work(Script(), options):
        await finished(queue, *ids)
    _assert_windows(await _starts(queue, ids), size=2)


async def test_a_concurrency_set_on_the_queue_holds_for_the_other(pair: Pair, queue: Queue) -> None:
    await pair.adds.limit_concurrency(2)
    async with pair.works.work(Script(hold=True), WorkerOptions(concurrency=10)) as worker:
        ids = await pair.adds.add_bulk([NewJob("n", n) for n in range(6)])
        await worker.runs.wait(lambda runs: len(runs) == 2)
        assert await pair.adds.states() == {"active": 2, "waiting": 4}
        await worker.release()
        await finished(queue, *ids)
    assert await _most_at_once(queue) == 2


async def test_a_concurrency_set_on_the_queue_holds_for_both_together(ours: Ours, nodes: Nodes, queue: Queue) -> None:
    await nodes.limit_concurrency(3)
    options = WorkerOptions(concurrency=10)
    async with ours.work(Script(), options), nodes.work(Script(), options):
        ids = await ours.add_bulk([NewJob("n", n, JobOptions(priority=n % 2)) for n in range(100)])
        await finished(queue, *ids)
    assert await _most_at_once(queue) <= 3


@pytest.mark.parametrize("limiter", ["python", "node"])
async def test_a_429_on_one_side_holds_the_other(
    limiter: str, ours: Ours, nodes: Nodes, queue: Queue, connection: Connection
) -> None:
    first: Side = ours if limiter == "python" else nodes
    second: Side = nodes if limiter == "python" else ours
    # BullMQ looks at a limit set by hand only where there is a rate: on the worker, or on the queue.
    options = WorkerOptions(rate=RateLimit(max=1_000, duration_ms=1_000))
    limited = await ours.add("limited", {}, JobOptions(attempts=1))
    async with first.work({"limited": Script(limit_ms=800), "*": Script()}, options) as worker:
        await worker.runs.wait(bool)
        await until(lambda: _is_limited(connection, queue))
        since_ms = await _now_ms(connection)
        left_ms = await connection.redis.pttl(queue.keys.limiter)
        async with second.work(Script(), options):
            ids = [limited, *await second.add_bulk([NewJob("n", n) for n in range(3)])]
            await finished(queue, *ids)
    starts = await _starts(queue, ids)
    assert starts[0] >= since_ms + left_ms - 5
    assert starts[-1] < since_ms + left_ms + 3_000, "woken by the 5 s poll, not by the end of the limit"
    done = await job(queue, limited)
    assert (done.attempts_made, done.attempts_started) == (1, 2)


async def _is_limited(connection: Connection, queue: Queue) -> bool:
    return await connection.redis.pttl(queue.keys.limiter) > 0 and not await connection.redis.llen(queue.keys.active)


async def _now_ms(connection: Connection) -> int:
    seconds, microseconds = await connection.redis.time()
    return int(seconds) * 1_000 + int(microseconds) // 1_000
