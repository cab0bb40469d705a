"""What becomes of a job: done, tried again, given up, handed back."""

import asyncio
from typing import Any

import pytest

from berrante.engine import (
    Backoff,
    Cancel,
    Connection,
    DeadLetters,
    Done,
    Job,
    JobOptions,
    NewJob,
    Queue,
    RateLimited,
    Retention,
    Snooze,
    State,
    Unrecoverable,
    Worker,
    WorkerOptions,
)
from berrante.engine.notices import (
    JobCompleted,
    JobFailed,
    JobHandedBack,
    JobRetried,
    JobSnoozed,
    WorkerStopped,
)
from tests.probes import Probe, working

BURIED = WorkerOptions(dead_letters="dead-letter")


async def _job(queue: Queue, job_id: str = "1") -> Job:
    job = await queue.get(job_id)
    assert job is not None
    return job


@pytest.mark.parametrize("outcome", [{"sent": True}, Done({"sent": True})])
async def test_a_returned_value_completes_the_job(queue: Queue, connection: Connection, probe: Probe, outcome) -> None:
    async def handle(_: Job) -> object:
        return outcome

    await queue.add("a", {"x": 1})
    async with working("q", handle, connection, WorkerOptions(name="w7"), prefix=queue.prefix, probe=probe):
        await probe.seen(JobCompleted)
    job = await _job(queue)
    assert job.return_value == {"sent": True}
    assert (job.attempts_made, job.attempts_started, job.processed_by) == (1, 1, "w7")
    assert job.finished_on_ms is not None
    assert job.processed_on_ms is not None
    assert job.finished_on_ms >= job.processed_on_ms >= job.timestamp_ms
    assert await queue.state("1") is State.COMPLETED


async def test_a_worker_without_a_name_leaves_none_on_its_jobs(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    async def handle(_: Job) -> None: ...

    await queue.add("a", {})
    async with working("q", handle, connection, prefix=queue.prefix, probe=probe):
        await probe.seen(JobCompleted)
    assert (await _job(queue)).processed_by is None


async def test_the_handler_sees_the_job(queue: Queue, connection: Connection, probe: Probe) -> None:
    seen: list[Any] = []

    async def handle(job: Job) -> None:
        seen.append((job.id, job.queue_name, job.name, job.data, job.attempt, job.attempts_started))

    await queue.add("greet", {"to": "Ana"}, JobOptions(job_id="g1"))
    async with working("q", handle, connection, prefix=queue.prefix, probe=probe):
        await probe.seen(JobCompleted)
    assert seen == [("g1", "q", "greet", {"to": "Ana"}, 1, 1)]


async def test_a_failure_is_tried_again_with_backoff_until_attempts_are_exhausted(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    async def handle(job: Job) -> None:
        raise ValueError(f"no luck {job.attempt}")

    await queue.add("a", 1, JobOptions(attempts=3, backoff=Backoff.exponential(20)))
    async with working("q", handle, connection, BURIED, prefix=queue.prefix, probe=probe):
        await probe.seen(JobFailed)
    assert [notice.delay_ms for notice in probe.of(JobRetried)] == [20, 40]
    job = await _job(queue)
    assert (job.attempts_made, job.attempts_started, job.failed_reason) == (3, 3, "no luck 3")
    assert [f"no luck {n}" in trace for n, trace in enumerate(job.stacktrace, start=1)] == [True, True, True]
    assert await queue.state("1") is State.FAILED


async def test_a_retry_without_backoff_comes_at_once(queue: Queue, connection: Connection, probe: Probe) -> None:
    async def handle(job: Job) -> str:
        if job.attempt < 3:
            raise RuntimeError("again")
        return "ok"

    await queue.add("a", 1, JobOptions(attempts=3))
    async with working("q", handle, connection, prefix=queue.prefix, probe=probe):
        await probe.seen(JobCompleted)
    assert [notice.delay_ms for notice in probe.of(JobRetried)] == [0, 0]
    assert (await _job(queue)).attempts_made == 3


async def test_what_cannot_succeed_fails_at_once_and_leaves_a_dead_letter(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    async def handle(_: Job) -> None:
        raise Unrecoverable("no such instance: 'x1'")

    await queue.add("a", {"k": "v"}, JobOptions(attempts=9, priority=2))
    async with working("q", handle, connection, BURIED, prefix=queue.prefix, probe=probe):
        (failed,) = await probe.seen(JobFailed)
    letters = DeadLetters(connection, prefix=queue.prefix)
    (letter,) = await letters.list()
    assert letter.id == failed.dead_letter_id
    origin = letter.data
    assert origin["failedReason"] == "no such instance: 'x1'"
    assert (origin["queue"], origin["jobId"], origin["name"], origin["data"]) == ("q", "1", "a", {"k": "v"})
    assert (origin["attemptsMade"], origin["opts"]["attempts"], origin["opts"]["priority"]) == (1, 9, 2)
    assert "Unrecoverable" in origin["stacktrace"][0]


async def test_a_dead_letter_goes_back_with_its_options_and_only_once(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    broken = True

    async def handle(_: Job) -> str:
        if broken:
            raise Unrecoverable("broken")
        return "mended"

    await queue.add("a", {"k": "v"}, JobOptions(attempts=4, backoff=Backoff.fixed(5), job_id="x"))
    letters = DeadLetters(connection, prefix=queue.prefix)
    async with working("q", handle, connection, BURIED, prefix=queue.prefix, probe=probe):
        (failed,) = await probe.seen(JobFailed)
        broken = False
        assert failed.dead_letter_id is not None
        back = await letters.retry(failed.dead_letter_id)
        await probe.seen(JobCompleted)
    assert await letters.count() == 0
    job = await _job(queue, back.id)
    assert (job.data, job.options.attempts, job.return_value) == ({"k": "v"}, 4, "mended")


async def test_cancel_fails_for_good_and_leaves_no_dead_letter(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    async def handle(_: Job) -> Cancel:
        return Cancel("opted out")

    await queue.add("a", 1, JobOptions(attempts=3))
    async with working("q", handle, connection, BURIED, prefix=queue.prefix, probe=probe):
        await probe.seen(JobFailed)
    assert (await _job(queue)).failed_reason == "opted out"
    assert await DeadLetters(connection, prefix=queue.prefix).count() == 0


async def test_snooze_runs_the_job_again_uncharged(queue: Queue, connection: Connection, probe: Probe) -> None:
    async def handle(job: Job) -> object:
        return Snooze(10) if job.attempts_started < 4 else job.attempts_made

    await queue.add("a", 1)
    async with working("q", handle, connection, prefix=queue.prefix, probe=probe):
        await probe.seen(JobCompleted)
    assert len(probe.of(JobSnoozed)) == 3
    assert (await _job(queue)).return_value == 0


async def test_rate_limited_gives_the_job_back_uncharged_and_stops_the_queue(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    order: list[str] = []

    async def handle(job: Job) -> object:
        order.append(job.id)
        return RateLimited(60) if len(order) == 1 else None

    await queue.add_bulk([NewJob("a", 1), NewJob("b", 2)])
    async with working("q", handle, connection, prefix=queue.prefix, probe=probe):
        await probe.seen(JobCompleted, 2)
    assert order == ["1", "1", "2"]
    assert (await _job(queue)).attempts_made == 1


async def test_a_value_that_is_not_json_fails_without_running_again(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    async def handle(_: Job) -> object:
        return object()

    await queue.add("a", 1, JobOptions(attempts=5))
    async with working("q", handle, connection, BURIED, prefix=queue.prefix, probe=probe):
        (failed,) = await probe.seen(JobFailed)
    assert "cannot be stored as JSON" in failed.reason
    assert (await _job(queue)).attempts_started == 1


@pytest.mark.parametrize(("field", "value"), [("data", b"{not json"), ("opts", b'{"attempts":"x"}'), ("data", b"\xff")])
async def test_an_unreadable_job_is_buried_and_its_neighbours_go_on(
    queue: Queue, connection: Connection, probe: Probe, field: str, value: bytes
) -> None:
    ran: list[str] = []

    async def handle(job: Job) -> None:
        ran.append(job.id)

    await queue.add_bulk([NewJob("a", n) for n in range(3)])
    await connection.redis.hset(queue.keys.job("2"), field, value)
    async with working("q", handle, connection, BURIED, prefix=queue.prefix, probe=probe):
        (failed,) = await probe.seen(JobFailed)
        await probe.seen(JobCompleted, 2)
    assert sorted(ran) == ["1", "3"]
    assert f"unreadable {field}" in failed.reason
    assert await DeadLetters(connection, prefix=queue.prefix).count() == 1


async def test_no_more_than_concurrency_run_at_once_and_all_slots_are_used(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    running, most = 0, 0
    full = asyncio.Event()

    async def handle(_: Job) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 7:
            full.set()
        await full.wait()
        running -= 1

    await queue.add_bulk([NewJob("a", n) for n in range(40)])
    async with working("q", handle, connection, WorkerOptions(concurrency=7), prefix=queue.prefix, probe=probe):
        await probe.seen(JobCompleted, 40)
    assert most == 7


async def test_retention_by_count_keeps_the_latest(queue: Queue, connection: Connection, probe: Probe) -> None:
    async def handle(job: Job) -> None:
        if job.data >= 10:
            raise Unrecoverable("no")

    await queue.add_bulk([NewJob("a", n) for n in range(20)])
    options = WorkerOptions(keep_completed=Retention(count=3), keep_failed=Retention(count=2))
    async with working("q", handle, connection, options, prefix=queue.prefix, probe=probe):
        await probe.seen(JobFailed, 10)
    assert {job.data for job in await queue.jobs([State.COMPLETED])} == {7, 8, 9}
    assert {job.data for job in await queue.jobs([State.FAILED])} == {18, 19}
    assert await connection.redis.exists(queue.keys.job("1")) == 0


async def test_retention_by_age_counts_from_the_end(queue: Queue, connection: Connection, prefix: str) -> None:
    now = connection.now_ms()
    clock = [now]
    async with Connection.from_url(_url(connection), clock=lambda: clock[0]) as moved:
        probe = Probe()

        async def handle(_: Job) -> None: ...

        options = WorkerOptions(keep_completed=Retention(age_s=60))
        async with working("q", handle, moved, options, prefix=prefix, probe=probe):
            await queue.add("old", 1)
            await probe.seen(JobCompleted)
            clock[0] = now + 61_000
            await queue.add("new", 2)
            await probe.seen(JobCompleted, 2)
    assert [job.name for job in await queue.jobs([State.COMPLETED])] == ["new"]


async def test_a_jobs_own_retention_wins(queue: Queue, connection: Connection, probe: Probe) -> None:
    async def handle(_: Job) -> None: ...

    await queue.add("a", 1, JobOptions(keep_completed=Retention.nothing()))
    async with working("q", handle, connection, prefix=queue.prefix, probe=probe):
        await probe.seen(JobCompleted)
    assert await queue.get("1") is None


async def test_progress_log_and_data_are_stored_while_it_runs(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    async def handle(job: Job) -> None:
        await job.update_progress({"done": 40})
        await job.log("half way")
        await job.log("ready")
        await job.update_data({"step": 2})

    await queue.add("a", {"step": 1})
    async with working("q", handle, connection, prefix=queue.prefix, probe=probe):
        await probe.seen(JobCompleted)
    job = await _job(queue)
    assert job.progress == {"done": 40}
    assert job.data == {"step": 2}
    assert await job.logs() == ["half way", "ready"]
    assert await job.logs(1) == ["ready"]


async def test_stop_waits_for_what_runs_and_takes_no_more(queue: Queue, connection: Connection, probe: Probe) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def handle(_: Job) -> None:
        started.set()
        await go_on.wait()

    await queue.add_bulk([NewJob("a", 1), NewJob("b", 2)])
    async with working("q", handle, connection, prefix=queue.prefix, probe=probe) as worker:
        await started.wait()
        stopping = asyncio.create_task(worker.stop())
        go_on.set()
        await stopping
    assert len(probe.of(JobCompleted)) == 1
    assert (await queue.counts())[State.WAITING] == 1
    assert probe.of(WorkerStopped)[0].unsettled == 0


async def test_after_the_deadline_what_runs_goes_back_to_the_head_uncharged(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    started = asyncio.Event()

    async def handle(_: Job) -> None:
        started.set()
        await asyncio.Event().wait()

    await queue.add_bulk([NewJob("a", 1), NewJob("b", 2)])
    async with working("q", handle, connection, prefix=queue.prefix, probe=probe) as worker:
        await started.wait()
        await worker.stop(deadline_ms=10)
    assert [notice.job.id for notice in probe.of(JobHandedBack)] == ["1"]
    waiting = await queue.jobs([State.WAITING], oldest_first=True)
    assert [(job.id, job.attempts_made) for job in waiting] == [("1", 0), ("2", 0)]
    assert await connection.redis.exists(queue.keys.job("1") + ":lock") == 0


async def test_a_worker_is_started_once(queue: Queue, connection: Connection) -> None:
    async def handle(_: Job) -> None: ...

    async with working("q", handle, connection, prefix=queue.prefix) as worker:
        with pytest.raises(RuntimeError, match="make another one"):
            await worker.run()


async def test_a_worker_that_never_ran_stops_at_once(connection: Connection, prefix: str) -> None:
    async def handle(_: Job) -> None: ...

    await Worker("q", handle, connection, prefix=prefix).stop()


async def test_metrics_count_per_minute(queue: Queue, connection: Connection, probe: Probe) -> None:
    async def handle(job: Job) -> None:
        if job.data == 2:
            raise Unrecoverable("no")

    await queue.add_bulk([NewJob("a", n) for n in range(3)])
    async with working("q", handle, connection, WorkerOptions(metrics_minutes=60), prefix=queue.prefix, probe=probe):
        await probe.seen(JobFailed)
    assert await connection.redis.hget(queue.keys.metrics("completed"), "count") == b"2"
    assert await connection.redis.hget(queue.keys.metrics("failed"), "count") == b"1"


def _url(connection: Connection) -> str:
    at = connection.redis.connection_pool.connection_kwargs
    return f"redis://{at['host']}:{at['port']}/{at.get('db', 0)}"
