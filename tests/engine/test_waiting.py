import asyncio
from typing import Any

import pytest
from redis.exceptions import RedisError

from berrante.engine import (
    Backoff,
    Connection,
    Job,
    JobDidFail,
    JobMissing,
    JobOptions,
    Queue,
    Retention,
    Unrecoverable,
    WorkerOptions,
)
from berrante.engine.notices import JobCompleted, JobFailed, JobStarted
from tests.conftest import OwnServer
from tests.probes import Probe, working
from tests.waiting import until

WAIT_S = 20.0


async def _echo(job: Job) -> object:
    if job.data == "bad":
        raise Unrecoverable("no such contact")
    return {"got": job.data}


async def _readers(connection: Connection) -> int:
    """How many connections wait for a queue's events."""
    clients: list[dict[str, Any]] = await connection.redis.client_list()
    return sum(client["cmd"] == "xread" for client in clients)


async def _stopped_reading(connection: Connection) -> bool:
    return await _readers(connection) == 0


async def test_a_job_that_is_done_answers_at_once(queue: Queue, probe: Probe) -> None:
    job = await queue.add("a", 1)
    async with working("q", _echo, queue.connection, prefix=queue.prefix, probe=probe):
        await probe.seen(JobCompleted)
    assert await job.wait_until_finished(timeout_s=WAIT_S) == {"got": 1}
    assert await _readers(queue.connection) == 0


async def test_a_job_that_failed_raises_its_reason_at_once(queue: Queue, probe: Probe) -> None:
    job = await queue.add("a", "bad")
    async with working("q", _echo, queue.connection, prefix=queue.prefix, probe=probe):
        await probe.seen(JobFailed)
    with pytest.raises(JobDidFail, match="no such contact") as failed:
        await job.wait_until_finished(timeout_s=WAIT_S)
    assert (failed.value.job_id, failed.value.reason) == (job.id, "no such contact")


@pytest.mark.parametrize("keep", [Retention.everything(), Retention.nothing()])
async def test_who_waits_is_told_of_the_end(queue: Queue, keep: Retention) -> None:
    good, bad = await queue.add("a", 1), await queue.add("a", "bad")
    waiting = [asyncio.create_task(job.wait_until_finished(timeout_s=WAIT_S)) for job in (good, bad)]
    await until(lambda: _readers(queue.connection))
    options = WorkerOptions(keep_completed=keep, keep_failed=keep)
    async with working("q", _echo, queue.connection, options, prefix=queue.prefix):
        assert await waiting[0] == {"got": 1}
        with pytest.raises(JobDidFail, match="no such contact"):
            await waiting[1]
    await until(lambda: _stopped_reading(queue.connection))


async def test_an_attempt_that_fails_is_not_the_end(queue: Queue) -> None:
    async def second_time(job: Job) -> int:
        if job.attempt == 1:
            raise RuntimeError("not yet")
        return job.attempt

    job = await queue.add("a", 1, JobOptions(attempts=3, backoff=Backoff.fixed(10)))
    async with working("q", second_time, queue.connection, prefix=queue.prefix):
        assert await job.wait_until_finished(timeout_s=WAIT_S) == 2


@pytest.mark.parametrize("keep", [Retention.everything(), Retention.nothing()])
async def test_no_end_is_missed_however_close_it_comes(queue: Queue, keep: Retention) -> None:
    options = WorkerOptions(concurrency=50, keep_completed=keep)

    async def wait(n: int) -> object:
        return await (await queue.add("a", n)).wait_until_finished(timeout_s=WAIT_S)

    async with working("q", _echo, queue.connection, options, prefix=queue.prefix):
        for start in range(0, 400, 40):
            ends = await asyncio.gather(*(wait(n) for n in range(start, start + 40)))
            assert ends == [{"got": n} for n in range(start, start + 40)]


async def test_all_who_wait_on_a_queue_share_one_reader(queue: Queue, probe: Probe) -> None:
    jobs = [await queue.add("a", n) for n in range(10)]
    waiting = [asyncio.create_task(job.wait_until_finished(timeout_s=WAIT_S)) for job in jobs for _ in range(2)]
    await until(lambda: _readers(queue.connection))
    assert await _readers(queue.connection) == 1  # before there is a worker, which reads a stream of cancellations
    async with working("q", _echo, queue.connection, prefix=queue.prefix, probe=probe):
        assert await asyncio.gather(*waiting) == [{"got": n} for n in range(10) for _ in range(2)]


async def test_waiting_ends_after_the_time_that_was_given(queue: Queue) -> None:
    job = await queue.add("a", 1)
    with pytest.raises(TimeoutError, match=f"job '{job.id}' of 'q' was not finished within 0.05 s"):
        await job.wait_until_finished(timeout_s=0.05)
    assert await _stopped_reading(queue.connection)


async def test_one_who_gives_up_leaves_the_others_waiting(queue: Queue) -> None:
    job = await queue.add("a", 1)
    patient = asyncio.create_task(job.wait_until_finished(timeout_s=WAIT_S))
    with pytest.raises(TimeoutError):
        await job.wait_until_finished(timeout_s=0.05)
    async with working("q", _echo, queue.connection, prefix=queue.prefix):
        assert await patient == {"got": 1}


@pytest.mark.parametrize("removed", ["before", "while"])
async def test_a_job_that_is_removed_is_not_waited_for(queue: Queue, removed: str) -> None:
    job = await queue.add("a", 1)
    if removed == "before":
        await queue.remove(job.id)
    waiting = asyncio.create_task(job.wait_until_finished(timeout_s=WAIT_S))
    if removed == "while":
        await until(lambda: _readers(queue.connection))
        await queue.remove(job.id)
    with pytest.raises(JobMissing, match="wait_until_finished"):
        await waiting


async def test_who_waits_is_told_that_the_server_went_away(own_valkey: OwnServer, prefix: str) -> None:
    async with Connection.from_url(own_valkey.url) as connection:
        queue = Queue("q", connection, prefix=prefix)
        job = await queue.add("a", 1)
        waiting = asyncio.create_task(job.wait_until_finished(timeout_s=WAIT_S))
        await until(lambda: _readers(connection))
        await own_valkey.kill()
        with pytest.raises((RedisError, OSError)):
            await waiting


async def test_cancelled_waiting_leaves_nothing_behind(queue: Queue) -> None:
    job = await queue.add("a", 1)
    waiting = asyncio.create_task(job.wait_until_finished())
    await until(lambda: _readers(queue.connection))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await until(lambda: _stopped_reading(queue.connection))


async def test_a_handler_may_wait_for_a_job_of_another_queue(queue: Queue, prefix: str, probe: Probe) -> None:
    other = Queue("other", queue.connection, prefix=prefix)

    async def ask(job: Job) -> object:
        return await (await other.add("b", job.data)).wait_until_finished(timeout_s=WAIT_S)

    job = await queue.add("a", 7)
    async with (
        working("q", ask, queue.connection, prefix=prefix, probe=probe),
        working("other", _echo, queue.connection, prefix=prefix),
    ):
        await probe.seen(JobStarted)
        assert await job.wait_until_finished(timeout_s=WAIT_S) == {"got": 7}
