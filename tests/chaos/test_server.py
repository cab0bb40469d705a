"""A server that dies, hangs, or has no room; the worker stays up through all of it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from redis.exceptions import ResponseError

from berrante.engine import Connection, Job, JobOptions, NewJob, Queue, State, WorkerOptions
from berrante.engine.notices import JobCompleted, RedisLost, RedisRegained
from tests.conftest import OwnServer
from tests.probes import Probe, working
from tests.waiting import until


@pytest.fixture
async def own(own_valkey: OwnServer) -> AsyncIterator[Connection]:
    async with Connection.from_url(own_valkey.url, socket_timeout_s=1) as connection:
        yield connection


async def test_a_server_killed_and_restarted_is_survived_without_a_restart(
    own_valkey: OwnServer, own: Connection, prefix: str
) -> None:
    queue = Queue("q", own, prefix=prefix)
    runs: Counter[str] = Counter()
    half = asyncio.Event()
    go_on = asyncio.Event()
    probe = Probe()

    async def handle(job: Job) -> str:
        runs[job.id] += 1
        if len(runs) == 50:
            half.set()
        if len(runs) >= 50:
            await go_on.wait()
        return "sent"

    await own.redis.config_set("appendfsync", "always")
    await queue.add_bulk([NewJob("a", n, JobOptions(job_id=f"j{n}")) for n in range(100)])
    options = WorkerOptions(concurrency=5, block_ms=500)
    async with working("q", handle, own, options, prefix=prefix, probe=probe):
        await half.wait()
        await own_valkey.kill()
        go_on.set()  # the outcomes come while nobody listens
        await probe.seen(RedisLost)
        await own_valkey.start()
        await probe.seen(RedisRegained)
        await probe.seen(JobCompleted, 100)
    assert (await queue.counts())[State.COMPLETED] == 100
    assert set(runs.values()) == {1}, [job_id for job_id, n in runs.items() if n > 1]


async def test_a_server_that_hangs_is_noticed_and_taken_up_again(
    own_valkey: OwnServer, own: Connection, prefix: str
) -> None:
    queue = Queue("q", own, prefix=prefix)
    probe = Probe()
    runs: Counter[str] = Counter()

    async def handle(job: Job) -> None:
        runs[job.id] += 1
        if job.data == 3:
            own_valkey.pause()

    await queue.add_bulk([NewJob("a", n) for n in range(10)])
    async with working("q", handle, own, WorkerOptions(block_ms=500), prefix=prefix, probe=probe):
        await probe.seen(RedisLost)
        own_valkey.cont()
        await probe.seen(RedisRegained)
        await probe.seen(JobCompleted, 10)
    assert set(runs.values()) == {1}
    assert (await queue.counts())[State.COMPLETED] == 10


async def test_a_full_server_refuses_new_jobs_clearly_while_those_it_has_are_done(own: Connection, prefix: str) -> None:
    """Outcomes are mostly removals: the script's first write frees memory, so Redis lets the rest of it pass."""
    queue = Queue("q", own, prefix=prefix)
    probe = Probe()
    runs: Counter[str] = Counter()
    full, room = asyncio.Event(), asyncio.Event()

    async def handle(job: Job) -> str:
        runs[job.id] += 1
        full.set()
        await room.wait()
        return "sent"

    await queue.add_bulk([NewJob("a", n) for n in range(9)])
    async with working("q", handle, own, WorkerOptions(concurrency=5), prefix=prefix, probe=probe):
        await full.wait()
        await own.redis.config_set("maxmemory", "1mb")
        with pytest.raises(ResponseError, match="maxmemory"):
            await queue.add("a", "x" * 1_000)
        with pytest.raises(ResponseError, match="maxmemory"):
            await queue.add_bulk([NewJob("a", 1)])
        room.set()
        await probe.seen(JobCompleted, 9)
        await own.redis.config_set("maxmemory", "0")
        await queue.add("a", 10)
        await probe.seen(JobCompleted, 10)
    assert set(runs.values()) == {1}
    assert (await queue.counts())[State.COMPLETED] == 10


async def test_a_slow_script_of_somebody_else_is_waited_for(
    own_valkey: OwnServer, own: Connection, prefix: str
) -> None:
    queue = Queue("q", own, prefix=prefix)
    probe = Probe()
    runs: Counter[str] = Counter()
    await own.redis.config_set("busy-reply-threshold", 50)
    busy = "local t = redis.call('TIME') repeat local n = redis.call('TIME') until n[1] - t[1] >= 2"

    async def handle(job: Job) -> None:
        runs[job.id] += 1

    async with (
        Connection.from_url(own_valkey.url, socket_timeout_s=10) as other,
        working("q", handle, own, WorkerOptions(block_ms=500), prefix=prefix, probe=probe),
    ):
        slow = asyncio.create_task(other.redis.eval(busy, 0))

        async def blocked() -> bool:
            try:
                await own.redis.get("x")
            except ResponseError as error:
                return "BUSY" in str(error)
            except TimeoutError:
                return True
            return False

        await until(blocked)
        await slow
        await queue.add_bulk([NewJob("a", n) for n in range(20)])
        await probe.seen(JobCompleted, 20)
    assert set(runs.values()) == {1}


async def test_a_lost_script_cache_and_broken_connections_under_load_double_nothing(
    own: Connection, own_valkey: OwnServer, prefix: str
) -> None:
    queue = Queue("q", own, prefix=prefix)
    probe = Probe()
    runs: Counter[str] = Counter()
    one_at_a_time = asyncio.Lock()
    async with Connection.from_url(own_valkey.url) as killer:

        async def handle(job: Job) -> None:
            runs[job.id] += 1
            if job.data % 40 == 0:
                async with one_at_a_time:  # a killer would cut off another
                    await killer.redis.script_flush()
                    await killer.redis.client_kill_filter(_type="normal", skipme=True)

        await queue.add_bulk([NewJob("a", n) for n in range(400)])
        async with working("q", handle, own, WorkerOptions(concurrency=20), prefix=prefix, probe=probe):
            await probe.seen(JobCompleted, 400)
    assert set(runs.values()) == {1}
    counts = await queue.counts()
    assert (counts[State.COMPLETED], sum(counts.values())) == (400, 400)
