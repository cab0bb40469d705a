"""Worker processes that die, freeze or live in another time. The oracle: which runs of which job were seen."""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from dataclasses import replace

import pytest

from berrante.engine import Backoff, Connection, JobOptions, NewJob, Queue, State
from tests.chaos.conftest import Start
from tests.chaos.worker_process import Orders
from tests.waiting import until

KILLING_S = float(os.environ.get("BERRANTE_CHAOS_SECONDS", "30"))


async def _effects(connection: Connection, orders: Orders) -> Counter[str]:
    marks: list[bytes] = await connection.redis.zrange(orders.effects, 0, -1)  # type: ignore[assignment]
    return Counter(mark.decode().split(":")[0] for mark in marks)


async def _settled(queue: Queue, jobs: int) -> None:
    async def all_finished() -> bool:
        counts = await queue.counts()
        return counts[State.COMPLETED] + counts[State.FAILED] == jobs

    await until(all_finished, timeout_s=60)


async def test_a_worker_killed_in_mid_job_leaves_it_to_another_that_runs_it_once(
    queue: Queue, connection: Connection, orders: Orders, start: Start
) -> None:
    await queue.add("send", 1)
    quick = replace(orders, lock_ms=500, stalled_interval_ms=300)
    doomed = await start(replace(quick, hold=f"{orders.prefix}-never"))
    await until(lambda: _effects(connection, orders))
    doomed.kill()
    await doomed.wait()
    await start(quick)
    await _settled(queue, 1)
    job = await queue.get("1")
    assert job is not None
    assert (job.return_value, job.stalled_count, job.attempts_made) == ("sent", 1, 1)
    assert await _effects(connection, orders) == {"1": 2}  # once by the dead, once by the living


async def test_sigterm_in_mid_job_finishes_it_and_takes_no_more(
    queue: Queue, connection: Connection, orders: Orders, start: Start
) -> None:
    await queue.add_bulk([NewJob("send", n) for n in range(2)])
    process = await start(replace(orders, hold=f"{orders.prefix}-go"))
    await until(lambda: _effects(connection, orders))
    process.send_signal(signal.SIGTERM)
    await until(lambda: connection.redis.exists(f"{orders.effects}-stopping"))
    await connection.redis.rpush(f"{orders.prefix}-go", "go")
    assert await process.wait() == 0
    counts = await queue.counts()
    assert (counts[State.COMPLETED], counts[State.WAITING], counts[State.ACTIVE]) == (1, 1, 0)
    assert await _effects(connection, orders) == {"1": 1}


@pytest.mark.timeout(300)
async def test_half_a_minute_of_random_kills_under_load_loses_nothing(
    queue: Queue, connection: Connection, orders: Orders, start: Start
) -> None:
    options = JobOptions(attempts=3, backoff=Backoff.fixed(20))
    load = replace(orders, concurrency=5, lock_ms=600, stalled_interval_ms=300)
    workers = [await start(load) for _ in range(2)]
    chance = random.Random(7)
    until_s = time.monotonic() + KILLING_S
    jobs, kills = 0, 0
    while time.monotonic() < until_s:
        await queue.add_bulk([NewJob("flaky" if n % 10 == 0 else "send", n, options) for n in range(jobs, jobs + 500)])
        jobs += 500
        seen = min(jobs, await connection.redis.zcard(orders.effects) + chance.randrange(50, 500))

        async def enough(seen: int = seen) -> bool:
            return await connection.redis.zcard(orders.effects) >= seen

        await until(enough, timeout_s=60)
        victim = workers.pop(chance.randrange(len(workers)))
        victim.kill()
        await victim.wait()
        kills += 1
        workers.append(await start(load))
    await _settled(queue, jobs)
    effects = await _effects(connection, orders)
    stalls = {job.id: job.stalled_count for job in await queue.jobs([State.COMPLETED], end=jobs)}
    assert len(stalls) == len(effects) == jobs
    doubled = {
        job_id: runs
        for job_id, runs in effects.items()
        if runs > (2 if (int(job_id) - 1) % 10 == 0 else 1) + stalls[job_id]
    }
    assert doubled == {}, "ran more often than its attempts and the locks that were lost explain"
    assert sum(stalls.values()) <= kills * load.concurrency, "only the jobs of a killed worker may run again"


async def test_a_process_frozen_longer_than_its_lock_loses_the_job_and_its_outcome_does_not_count(
    queue: Queue, connection: Connection, orders: Orders, start: Start
) -> None:
    await queue.add("send", 1)
    quick = replace(orders, lock_ms=400, stalled_interval_ms=200)
    frozen = await start(replace(quick, hold=f"{orders.prefix}-go"))
    await until(lambda: _effects(connection, orders))
    frozen.send_signal(signal.SIGSTOP)
    await start(quick)
    await _settled(queue, 1)
    before = await queue.get("1")
    await connection.redis.rpush(f"{orders.prefix}-go", "go")
    frozen.send_signal(signal.SIGCONT)
    frozen.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(frozen.wait(), 20) == 0
    after = await queue.get("1")
    assert before is not None
    assert after is not None
    assert (after.finished_on_ms, after.attempts_made) == (before.finished_on_ms, before.attempts_made) != (None, 0)
    assert await _effects(connection, orders) == {"1": 2}


async def test_a_minute_of_clock_skew_between_workers_costs_neither_jobs_nor_locks(
    queue: Queue, connection: Connection, orders: Orders, start: Start
) -> None:
    options = JobOptions(attempts=2, backoff=Backoff.fixed(10))
    await queue.add_bulk([NewJob("flaky" if n % 4 == 0 else "send", n, options) for n in range(200)])
    await start(replace(orders, concurrency=4, skew_ms=-30_000))
    await start(replace(orders, concurrency=4, skew_ms=30_000))
    await _settled(queue, 200)
    effects = await _effects(connection, orders)
    assert all(effects[str(n)] == (2 if (n - 1) % 4 == 0 else 1) for n in range(1, 201))
