"""Cancelling a job from another process: whatever state it is in, and whether or not its worker hears at once."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from berrante.engine import (
    Backoff,
    Connection,
    DeadLetters,
    Job,
    JobNotInState,
    JobOptions,
    NewJob,
    Queue,
    Snooze,
    State,
    Worker,
    WorkerOptions,
)
from berrante.engine.cancellation import Cancellations
from berrante.engine.notices import JobCompleted, JobFailed, JobRetried, JobStarted, RedisLost
from berrante.engine.wire import taking
from berrante.engine.wire.endings import Fail
from tests.conftest import OwnServer
from tests.probes import Probe, working
from tests.waiting import until

BURIED = WorkerOptions(dead_letters="dead-letter", concurrency=5)


@pytest.fixture
async def elsewhere(redis_url: str, prefix: str) -> AsyncIterator[Queue]:
    """The same queue as another process sees it."""
    async with Connection.from_url(redis_url) as connection:
        yield Queue("q", connection, prefix=prefix)


async def _for_ever(_: Job) -> None:
    await asyncio.Event().wait()


async def _stream(queue: Queue) -> int:
    return int(await queue.connection.redis.xlen(queue.keys.base + "berrante:cancellations"))


@pytest.mark.parametrize("options", [JobOptions(), JobOptions(delay_ms=60_000), JobOptions(priority=3)])
async def test_a_job_that_has_not_begun_is_removed(queue: Queue, options: JobOptions) -> None:
    await queue.add("a", 1, options)
    assert await queue.cancel("1") is True
    assert await queue.get("1") is None
    assert sum((await queue.counts()).values()) == 0


async def test_what_is_not_there_or_has_finished_is_left_alone(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    async def handle(_: Job) -> str:
        return "done"

    await queue.add("a", 1)
    async with working("q", handle, connection, prefix=queue.prefix, probe=probe):
        await probe.seen(JobCompleted)
    assert await queue.cancel("nope") is False
    assert await queue.cancel("1") is False
    assert await queue.state("1") is State.COMPLETED


async def test_an_active_jobs_handler_is_cancelled_and_the_job_fails_for_good(
    queue: Queue, elsewhere: Queue, connection: Connection, probe: Probe
) -> None:
    cleaned = asyncio.Event()

    async def handle(job: Job) -> None:
        try:
            await _for_ever(job)
        finally:
            cleaned.set()

    await queue.add_bulk([NewJob("a", n, JobOptions(attempts=5)) for n in range(2)])
    async with working("q", handle, connection, BURIED, prefix=queue.prefix, probe=probe) as worker:
        await probe.seen(JobStarted, 2)
        assert await elsewhere.cancel("1", reason="the customer opted out") is True
        (failed,) = await probe.seen(JobFailed)
        assert cleaned.is_set()
        assert (failed.job.id, failed.reason, failed.because) == ("1", "the customer opted out", "cancelled")
        assert await queue.state("2") is State.ACTIVE  # its neighbour runs on
        await until(lambda: _has_no_request(queue))
        await worker.stop(deadline_ms=0)
    assert await DeadLetters(connection, prefix=queue.prefix).count() == 0
    job = await queue.get("1")
    assert job is not None
    assert (job.failed_reason, job.attempts_made) == ("the customer opted out", 1)


async def _has_no_request(queue: Queue) -> bool:
    return await _stream(queue) == 0


async def test_each_of_a_connections_workers_hears_of_its_own_queue(
    queue: Queue, elsewhere: Queue, connection: Connection
) -> None:
    other = Queue("other", connection, prefix=queue.prefix)
    first, second = Probe(), Probe()
    await queue.add("a", 1)
    await other.add("a", 1)
    async with (
        working("q", _for_ever, connection, prefix=queue.prefix, probe=first),
        working("other", _for_ever, connection, prefix=queue.prefix, probe=second),
    ):
        await first.seen(JobStarted)
        await second.seen(JobStarted)
        assert await other.cancel("1", reason="there")
        (there,) = await second.seen(JobFailed)
        assert first.of(JobFailed) == []
        assert await elsewhere.cancel("1", reason="here")
        (here,) = await first.seen(JobFailed)
    assert (there.reason, here.reason) == ("there", "here")


async def test_a_handler_that_completes_all_the_same_has_done_its_work(
    queue: Queue, elsewhere: Queue, connection: Connection, probe: Probe
) -> None:
    async def handle(job: Job) -> str:
        try:
            await _for_ever(job)
        except asyncio.CancelledError:
            return "sent before"
        raise AssertionError

    await queue.add("a", 1)
    async with working("q", handle, connection, prefix=queue.prefix, probe=probe):
        await probe.seen(JobStarted)
        assert await elsewhere.cancel("1")
        await probe.seen(JobCompleted)
    assert await queue.state("1") is State.COMPLETED


@pytest.mark.parametrize("ending", [Snooze(0), ValueError("cleaning up broke")])
async def test_a_handler_that_ends_in_any_other_way_does_not_run_again(
    queue: Queue, elsewhere: Queue, connection: Connection, probe: Probe, ending: object
) -> None:
    async def handle(job: Job) -> object:
        try:
            await _for_ever(job)
        except asyncio.CancelledError:
            if isinstance(ending, Exception):
                raise ending from None
        return ending

    await queue.add("a", 1, JobOptions(attempts=5))
    async with working("q", handle, connection, prefix=queue.prefix, probe=probe):
        await probe.seen(JobStarted)
        assert await elsewhere.cancel("1", reason="stop it")
        (failed,) = await probe.seen(JobFailed)
    assert failed.reason == "stop it"
    assert len(probe.of(JobStarted)) == 1


async def test_a_job_that_was_cancelled_can_be_run_again_by_hand(
    queue: Queue, elsewhere: Queue, connection: Connection, probe: Probe
) -> None:
    willing = False

    async def handle(job: Job) -> str:
        if not willing:
            await _for_ever(job)
        return "at last"

    await queue.add("a", 1)
    async with working("q", handle, connection, prefix=queue.prefix, probe=probe):
        await probe.seen(JobStarted)
        await elsewhere.cancel("1")
        await probe.seen(JobFailed)
        await until(lambda: _has_no_request(queue))
        willing = True
        await queue.retry("1")
        await probe.seen(JobCompleted)


async def test_a_worker_that_was_away_hears_when_it_is_back(own_valkey: OwnServer, prefix: str) -> None:
    probe = Probe()
    async with Connection.from_url(own_valkey.url) as connection:
        queue = Queue("q", connection, prefix=prefix)
        await queue.add("a", 1)
        async with working("q", _for_ever, connection, prefix=prefix, probe=probe):
            await probe.seen(JobStarted)
            for _ in range(3):  # its connections break just as it is asked
                await connection.redis.client_kill_filter(_type="normal", skipme=True)
            assert await queue.cancel("1", reason="while you were out")
            await connection.redis.client_kill_filter(_type="normal", skipme=True)
            (failed,) = await probe.seen(JobFailed)
    assert failed.reason == "while you were out"
    assert len(probe.of(RedisLost)) <= 1


async def test_a_request_made_before_a_worker_listens_is_found_at_renewal(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    """The run is one that nobody listens for, as if its worker had been deaf until now."""
    await queue.add("a", 1)
    async with working("q", _for_ever, connection, prefix=queue.prefix, probe=probe) as worker:
        await probe.seen(JobStarted)
        runner = worker._runner
        deaf = Cancellations(connection, queue.keys, runner)
        await queue.cancel("1", reason="found")
        await deaf.look()
        (failed,) = await probe.seen(JobFailed)
    assert failed.reason == "found"


async def test_a_run_that_ends_first_is_the_jobs_last(
    queue: Queue, elsewhere: Queue, connection: Connection, probe: Probe
) -> None:
    """The request comes between a failure and its retry: the job that waits for its next attempt is removed."""
    await queue.add("a", 1, JobOptions(attempts=9, backoff=Backoff.fixed(3_600_000)))
    token = "elsewhere:1"
    call = taking.take(queue.keys, token=token, lock_ms=60_000, rate=None, worker="w", now_ms=connection.now_ms())
    assert taking.taken(await connection.run(call)).job_id == "1"
    assert await elsewhere.cancel("1", reason="too late for this run")
    await connection.redis.delete(queue.keys.job("1") + ":lock")
    await connection.redis.lrem(queue.keys.active, 1, "1")
    await connection.redis.zadd(queue.keys.delayed, {"1": (connection.now_ms() + 3_600_000) * 4_096})
    async with working("q", _for_ever, connection, prefix=queue.prefix, probe=probe):
        await until(lambda: _is_gone(queue))
        await until(lambda: _has_no_request(queue))
    assert probe.of(JobRetried) == []


async def _is_gone(queue: Queue) -> bool:
    return await queue.get("1") is None


async def test_a_job_whose_worker_died_is_stopped_when_another_has_it(
    queue: Queue, elsewhere: Queue, connection: Connection, probe: Probe
) -> None:
    await queue.add("a", 1)
    dead = taking.take(queue.keys, token="dead:1", lock_ms=60_000, rate=None, worker="d", now_ms=connection.now_ms())
    await connection.run(dead)
    assert await elsewhere.cancel("1", reason="asked of the dead")
    await connection.redis.delete(queue.keys.job("1") + ":lock")
    await connection.redis.rpoplpush(queue.keys.active, queue.keys.wait)
    async with working("q", _for_ever, connection, prefix=queue.prefix, probe=probe):
        await until(lambda: _has_no_request(queue))
    assert await queue.state("1") in (State.FAILED, None)  # heard while it ran, or removed before


async def test_a_job_without_its_lock_waits_for_the_sweep_and_asks_no_one_in_a_circle(
    queue: Queue, connection: Connection
) -> None:
    await queue.add("a", 1)
    dead = taking.take(queue.keys, token="dead:1", lock_ms=60_000, rate=None, worker="d", now_ms=connection.now_ms())
    await connection.run(dead)
    await connection.redis.delete(queue.keys.job("1") + ":lock")
    assert await queue.cancel("1")
    stream = queue.keys.base + "berrante:cancellations"
    async with working("idle", _for_ever, connection, prefix=queue.prefix) as worker:
        cancellations = Cancellations(connection, queue.keys, worker._runner)
        request = await connection.redis.xrange(stream)
        await cancellations.look()
        assert await connection.redis.xrange(stream) == request  # the same, not one made anew
        await connection.redis.rpoplpush(queue.keys.active, queue.keys.wait)
        await cancellations.look()
    assert await queue.get("1") is None
    assert await _stream(queue) == 0


async def test_a_run_that_is_called_off_before_its_first_step_ends_too(queue: Queue, connection: Connection) -> None:
    job = await queue.add("a", 1)
    runner = Worker("q", _for_ever, connection, prefix=queue.prefix)._runner
    runner.start(job)
    runner.call_off(job, "at once", settled=asyncio.Event().set)
    (settlement,) = await until(lambda: list(runner.settling))
    assert isinstance(settlement.ending, Fail)
    assert settlement.ending.failure.reason == "at once"
    assert runner.running == 0


async def test_a_schedulers_next_job_is_not_cancelled_alone(queue: Queue) -> None:
    await queue.schedulers.upsert("tick", every_ms=60_000, name="tick", data=None)
    (job,) = await queue.jobs([State.DELAYED, State.WAITING])
    with pytest.raises(JobNotInState, match="scheduler"):
        await queue.cancel(job.id)
    assert await queue.get(job.id) is not None


async def test_requests_that_nobody_hears_do_not_stay_for_ever(queue: Queue, connection: Connection) -> None:
    await queue.add("a", 1)
    call = taking.take(queue.keys, token="node:1", lock_ms=60_000, rate=None, worker="n", now_ms=connection.now_ms())
    await connection.run(call)
    await queue.cancel("1")
    assert 0 < await connection.redis.pttl(queue.keys.base + "berrante:cancellations") <= 24 * 3_600_000
