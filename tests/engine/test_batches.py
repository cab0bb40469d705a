"""Many jobs in one run, each with an outcome of its own."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from berrante.engine import (
    Backoff,
    Batch,
    Cancel,
    Connection,
    DeadLetters,
    Done,
    Job,
    JobOptions,
    NewJob,
    Queue,
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
    JobStarted,
    WorkerStarted,
)
from tests.probes import Probe, working

Run = list[str]  # the data of a batch's jobs


def _options(size: int, *, wait_ms: int = 0, concurrency: int = 1, **others: int) -> WorkerOptions:
    return WorkerOptions(batch=Batch(size=size, wait_ms=wait_ms), concurrency=concurrency, **others)


async def _add(queue: Queue, count: int, *, attempts: int = 1) -> list[str]:
    return await queue.add_bulk([NewJob("a", n, JobOptions(attempts=attempts)) for n in range(1, count + 1)])


async def test_what_waits_is_handled_in_full_batches_and_a_rest(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    sizes: list[int] = []

    async def handle(jobs: Sequence[Job]) -> None:
        sizes.append(len(jobs))

    await _add(queue, 23)
    async with working("q", handle, connection, _options(10), prefix=queue.prefix, probe=probe):
        await probe.seen(JobCompleted, 23)
    assert sizes == [10, 10, 3]


async def test_each_job_ends_by_its_own_outcome(queue: Queue, connection: Connection, probe: Probe) -> None:
    again: list[str] = []

    async def handle(jobs: Sequence[Job]) -> dict[str, object]:
        if len(jobs) < 6:
            again.extend(job.id for job in jobs)
            return {}
        return {
            "1": {"sent": True},
            "2": Done("two"),
            "3": ValueError("try me again"),
            "4": Unrecoverable("never"),
            "5": Cancel("opted out"),
            "6": Snooze(1),
        }

    await _add(queue, 7, attempts=2)
    options = WorkerOptions(batch=Batch(size=7), dead_letters="dead-letter")
    async with working("q", handle, connection, options, prefix=queue.prefix, probe=probe):
        await probe.seen(JobCompleted, 5)
        await probe.seen(JobFailed, 2)
    jobs = {job.id: job for job in await queue.jobs([State.COMPLETED])}
    assert [jobs[n].return_value for n in ("1", "2", "7")] == [{"sent": True}, "two", None]
    assert sorted(again) == ["3", "6"]
    assert (jobs["3"].attempts_made, jobs["6"].attempts_made) == (2, 1)
    assert [(notice.job.id, notice.reason) for notice in probe.of(JobRetried)] == [("3", "try me again")]
    assert [notice.job.id for notice in probe.of(JobSnoozed)] == ["6"]
    assert {notice.job.id: notice.because for notice in probe.of(JobFailed)} == {"4": "unrecoverable", "5": "cancelled"}
    assert await DeadLetters(connection, prefix=queue.prefix).count() == 1


async def test_what_is_raised_fails_every_job_of_the_batch_by_its_own_attempts(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    calls = 0

    async def handle(_: Sequence[Job]) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ConnectionError("the gateway is away")

    await queue.add("once", 1)
    await queue.add_bulk([NewJob("twice", n, JobOptions(attempts=2, backoff=Backoff.fixed(1))) for n in range(2)])
    async with working("q", handle, connection, _options(3), prefix=queue.prefix, probe=probe):
        (failed,) = await probe.seen(JobFailed)
        await probe.seen(JobCompleted, 2)
    assert failed.job.name == "once"
    jobs = await queue.jobs([State.COMPLETED, State.FAILED])
    assert [len(job.stacktrace) for job in jobs] == [1, 1, 1]
    traces = {job.stacktrace[0] for job in jobs}
    assert len(traces) == 1  # none carries the others' frames
    assert "the gateway is away" in traces.pop()


async def test_an_answer_that_is_no_mapping_holds_for_all(queue: Queue, connection: Connection, probe: Probe) -> None:
    async def handle(jobs: Sequence[Job]) -> object:
        return Snooze(1) if len(jobs) == 3 and jobs[0].attempts_started == 1 else "ok"

    await _add(queue, 3)
    async with working("q", handle, connection, _options(3), prefix=queue.prefix, probe=probe):
        await probe.seen(JobCompleted, 3)
    assert len(probe.of(JobSnoozed)) == 3
    assert {job.return_value for job in await queue.jobs([State.COMPLETED])} == {"ok"}


async def test_an_answer_for_a_stranger_loses_no_jobs_outcome(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    async def handle(_: Sequence[Job]) -> object:
        return {"1": "mine", "5511999999999": "whose?"}

    await _add(queue, 2, attempts=5)
    async with working("q", handle, connection, _options(2), prefix=queue.prefix, probe=probe):
        (failed,) = await probe.seen(JobFailed)
        await probe.seen(JobCompleted)
    assert failed.job.id == "2"
    assert "'5511999999999'" in failed.reason
    assert failed.because == "unrecoverable"  # its work was done: it is not done again


async def test_a_bad_job_never_reaches_the_batch(queue: Queue, connection: Connection, probe: Probe) -> None:
    batches: list[Run] = []

    async def handle(jobs: Sequence[Job]) -> None:
        batches.append([job.id for job in jobs])

    await _add(queue, 3)
    await connection.redis.hset(queue.keys.job("2"), "data", b"{not json")
    async with working("q", handle, connection, _options(3), prefix=queue.prefix, probe=probe):
        (failed,) = await probe.seen(JobFailed)
        await probe.seen(JobCompleted, 2)
    assert "unreadable data" in failed.reason
    assert batches == [["1", "3"]]


async def test_concurrency_counts_batches(queue: Queue, connection: Connection, probe: Probe) -> None:
    release = asyncio.Event()
    running: list[int] = []
    full = asyncio.Event()

    async def hold(jobs: Sequence[Job]) -> None:
        running.append(len(jobs))
        if len(running) == 2:
            full.set()
        await release.wait()

    await _add(queue, 3)
    options = _options(10, concurrency=2)
    async with working("q", hold, connection, options, prefix=queue.prefix, probe=probe):
        await probe.seen(JobStarted, 3)
        await _add(queue, 25)
        await asyncio.wait_for(full.wait(), 20)
        assert (await queue.counts())[State.ACTIVE] == 13  # the first batch's empty places are nobody's
        assert (await queue.counts())[State.WAITING] == 15
        release.set()
        await probe.seen(JobCompleted, 28)
    assert (running[:2], sorted(running[2:])) == ([3, 10], [5, 10])  # the last two begin together


async def test_a_batch_waits_for_company_until_it_is_full(queue: Queue, connection: Connection, probe: Probe) -> None:
    batches: list[int] = []

    async def handle(jobs: Sequence[Job]) -> None:
        batches.append(len(jobs))

    async with working("q", handle, connection, _options(4, wait_ms=60_000), prefix=queue.prefix, probe=probe):
        for n in range(3):
            await _add(queue, 1)
            await probe.seen(JobStarted, n + 1)  # taken, and kept
        assert batches == []
        await _add(queue, 1)
        await probe.seen(JobCompleted, 4)
    assert batches == [4]


async def test_a_batch_waits_for_company_no_longer_than_it_may(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    async def handle(jobs: Sequence[Job]) -> int:
        return len(jobs)

    async with working("q", handle, connection, _options(1_000, wait_ms=40), prefix=queue.prefix, probe=probe):
        await _add(queue, 2)
        await probe.seen(JobCompleted, 2)
    assert sum(job.return_value for job in await queue.jobs([State.COMPLETED])) in (2, 4)  # as two, or one by one


async def test_a_stop_waits_for_no_more_company(queue: Queue, connection: Connection, probe: Probe) -> None:
    async def handle(_: Sequence[Job]) -> None: ...

    async with working("q", handle, connection, _options(9, wait_ms=3_600_000), prefix=queue.prefix, probe=probe):
        await _add(queue, 2)
        await probe.seen(JobStarted, 2)
    assert len(probe.of(JobCompleted)) == 2


async def test_after_the_deadline_a_batch_is_cancelled_and_all_of_it_goes_back(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    cleaned = asyncio.Event()

    async def handle(_: Sequence[Job]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    await _add(queue, 5)
    async with working("q", handle, connection, _options(3), prefix=queue.prefix, probe=probe) as worker:
        await probe.seen(JobStarted, 3)
        await worker.stop(deadline_ms=1)
    assert cleaned.is_set()
    assert len(probe.of(JobHandedBack)) == 3
    waiting = await queue.jobs([State.WAITING], oldest_first=True)
    assert sorted((job.id, job.attempts_made) for job in waiting) == [(str(n), 0) for n in range(1, 6)]


async def test_a_time_out_is_the_batchs(queue: Queue, connection: Connection, probe: Probe) -> None:
    async def handle(_: Sequence[Job]) -> None:
        await asyncio.Event().wait()

    await _add(queue, 3)
    options = _options(3, job_timeout_ms=30)
    async with working("q", handle, connection, options, prefix=queue.prefix, probe=probe):
        failed = await probe.seen(JobFailed, 3)
    assert {notice.reason for notice in failed} == {"timed out after 30 ms"}


async def test_cancelling_one_job_leaves_the_batch_running_and_all_of_them_end_it(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    release, cancelled = asyncio.Event(), asyncio.Event()

    async def handle(jobs: Sequence[Job]) -> dict[str, object]:
        try:
            await release.wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return {job.id: ValueError("again") for job in jobs}

    await _add(queue, 2, attempts=3)
    async with working("q", handle, connection, _options(2), prefix=queue.prefix, probe=probe):
        await probe.seen(JobStarted, 2)
        assert await queue.cancel("1", reason="one")
        assert await queue.cancel("2", reason="two")
        failed = await probe.seen(JobFailed, 2)
    assert cancelled.is_set()
    assert {notice.job.id: notice.reason for notice in failed} == {"1": "one", "2": "two"}


async def test_a_cancelled_job_of_a_batch_that_goes_on_ends_with_it_and_not_again(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    release = asyncio.Event()

    async def handle(jobs: Sequence[Job]) -> dict[str, object]:
        await release.wait()
        return {"1": ValueError("again")}

    await _add(queue, 2, attempts=3)
    async with working("q", handle, connection, _options(2), prefix=queue.prefix, probe=probe) as worker:
        await probe.seen(JobStarted, 2)
        called_off = asyncio.Event()
        job = worker._runner.find("1")
        assert job is not None
        worker._runner.call_off(job, "only me", settled=called_off.set)
        release.set()
        (failed,) = await probe.seen(JobFailed)
        await probe.seen(JobCompleted)
        await called_off.wait()
    assert (failed.job.id, failed.reason) == ("1", "only me")
    assert probe.of(JobRetried) == []


async def test_a_job_that_is_cancelled_while_it_waits_for_company_is_not_in_the_batch(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    batches: list[Run] = []

    async def handle(jobs: Sequence[Job]) -> None:
        batches.append([job.id for job in jobs])

    async with working("q", handle, connection, _options(2, wait_ms=3_600_000), prefix=queue.prefix, probe=probe):
        await _add(queue, 1)
        await probe.seen(JobStarted)
        await queue.cancel("1")
        await probe.seen(JobFailed)
        await _add(queue, 2)
        await probe.seen(JobCompleted, 2)
    assert batches == [["2", "3"]]


async def test_each_job_is_handled_once_however_batches_fall(queue: Queue, connection: Connection) -> None:
    handled: list[str] = []
    probe = Probe()

    async def handle(jobs: Sequence[Job]) -> None:
        await jobs[0].log("a round trip, so that batches overlap")
        handled.extend(job.id for job in jobs)

    await _add(queue, 2_000)
    options = _options(64, wait_ms=5, concurrency=3)
    async with (
        working("q", handle, connection, options, prefix=queue.prefix, probe=probe),
        working("q", handle, connection, options, prefix=queue.prefix, probe=probe),
    ):
        await probe.seen(JobCompleted, 2_000)
    assert len(handled) == len(set(handled)) == 2_000


@pytest.mark.parametrize(
    ("make", "match"),
    [(lambda: Batch(size=0), "Batch.size is 0"), (lambda: Batch(size=5, wait_ms=-1), "Batch.wait_ms is -1")],
)
def test_a_batch_that_cannot_be_is_refused(make: Callable[[], Batch], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()


async def test_a_cancelled_worker_leaves_no_batch_running(queue: Queue, connection: Connection, probe: Probe) -> None:
    ended = asyncio.Event()

    async def handle(_: Sequence[Job]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    await _add(queue, 2)
    worker = Worker("q", handle, connection, _options(2), prefix=queue.prefix, listener=probe)
    running = asyncio.create_task(worker.run())
    await probe.seen(WorkerStarted)
    await probe.seen(JobStarted, 2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await asyncio.wait_for(ended.wait(), 20)


async def test_jobs_that_take_long_share_their_run_with_no_others(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    runs: list[list[str]] = []

    async def handle(jobs: Sequence[Job]) -> None:
        runs.append([job.name for job in jobs])

    names = ["quick", "slow", "quick", "slow", "quick"]
    await queue.add_bulk([NewJob(name, 1) for name in names])
    options = WorkerOptions(batch=Batch(size=5, alone=frozenset({"slow"})), concurrency=3)
    async with working("q", handle, connection, options, prefix=queue.prefix, probe=probe):
        await probe.seen(JobCompleted, 5)
    assert sorted(runs) == [["quick"], ["quick"], ["quick"], ["slow"], ["slow"]]
