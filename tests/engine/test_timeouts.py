"""A run that takes too long is cancelled, and is a failed attempt like any other."""

import asyncio

import pytest

from berrante.engine import Connection, Job, JobOptions, JobTimedOut, NewJob, Queue, State, WorkerOptions
from berrante.engine.notices import JobCompleted, JobFailed, JobRetried
from tests.probes import Probe, working

IMPATIENT = WorkerOptions(job_timeout_ms=30)


async def _for_ever() -> None:
    await asyncio.Event().wait()


async def test_a_run_that_takes_too_long_is_cancelled_and_tried_again(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    cleaned: list[int] = []

    async def handle(job: Job) -> str:
        if job.attempt == 2:
            return "in time"
        try:
            await _for_ever()
        finally:
            cleaned.append(job.attempt)
        raise AssertionError

    await queue.add("a", 1, JobOptions(attempts=2))
    async with working("q", handle, connection, IMPATIENT, prefix=queue.prefix, probe=probe):
        (done,) = await probe.seen(JobCompleted)
    assert cleaned == [1]
    assert [notice.reason for notice in probe.of(JobRetried)] == ["timed out after 30 ms"]
    job = await queue.get(done.job.id)
    assert job is not None
    assert (job.return_value, job.attempts_made) == ("in time", 2)
    assert "_for_ever" in job.stacktrace[0]  # where it stood


async def test_the_last_attempt_that_takes_too_long_fails_the_job_with_a_dead_letter(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    async def handle(_: Job) -> None:
        await _for_ever()

    await queue.add("a", 1)
    options = WorkerOptions(job_timeout_ms=30, dead_letters="dead-letter")
    async with working("q", handle, connection, options, prefix=queue.prefix, probe=probe):
        (failed,) = await probe.seen(JobFailed)
    assert (failed.reason, failed.because) == ("timed out after 30 ms", "attempts exhausted")
    assert failed.dead_letter_id is not None


async def test_a_time_out_holds_for_its_own_job_alone(queue: Queue, connection: Connection, probe: Probe) -> None:
    async def handle(job: Job) -> None:
        if job.name == "slow":
            await _for_ever()

    await queue.add_bulk([NewJob("slow", 1), *[NewJob("quick", n) for n in range(5)]])
    options = WorkerOptions(job_timeout_ms=50, concurrency=6)
    async with working("q", handle, connection, options, prefix=queue.prefix, probe=probe):
        await probe.seen(JobFailed)
        await probe.seen(JobCompleted, 5)
    assert [job.name for job in await queue.jobs([State.FAILED])] == ["slow"]


async def test_a_handler_that_answers_all_the_same_has_done_its_work(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    async def handle(_: Job) -> str:
        try:
            await _for_ever()
        except asyncio.CancelledError:
            return "sent before"
        raise AssertionError

    await queue.add("a", 1)
    async with working("q", handle, connection, IMPATIENT, prefix=queue.prefix, probe=probe):
        await probe.seen(JobCompleted)
    assert (await queue.jobs([State.COMPLETED]))[0].return_value == "sent before"


async def test_a_time_out_of_the_handlers_own_is_not_taken_for_ours(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    async def handle(_: Job) -> None:
        raise TimeoutError("no answer from the gateway")

    await queue.add("a", 1)
    async with working("q", handle, connection, IMPATIENT, prefix=queue.prefix, probe=probe):
        (failed,) = await probe.seen(JobFailed)
    assert failed.reason == "no answer from the gateway"


def test_the_error_carries_the_bound() -> None:
    error = JobTimedOut(1_500)
    assert (error.timeout_ms, error.code, str(error)) == (1_500, "job_timed_out", "timed out after 1500 ms")


def test_a_bound_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="job_timeout_ms is 0"):
        WorkerOptions(job_timeout_ms=0)
