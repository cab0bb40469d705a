"""The tools for users' tests do what their page says."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from berrante.engine import (
    Backoff,
    Batch,
    Connection,
    Job,
    JobOptions,
    NewJob,
    Queue,
    RateLimited,
    Snooze,
    State,
    WorkerOptions,
)
from berrante.engine.notices import JobCompleted, JobFailed, JobHandedBack, JobRetried, JobSnoozed
from berrante.testing import MovableClock, assert_enqueued, embedded_server, process_all, ring
from tests.probes import Probe, working


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def timed(redis_url: str, prefix: str, clock: MovableClock) -> AsyncIterator[Queue]:
    """A queue by the movable clock."""
    async with Connection.from_url(redis_url, clock=clock) as connection:
        yield Queue("q", connection, prefix=prefix)


async def _nothing(_: Job) -> None: ...


async def test_all_that_waits_is_processed_in_order_and_told(queue: Queue) -> None:
    ran: list[int] = []

    async def handle(job: Job) -> None:
        ran.append(job.data)
        if job.data == 2:
            raise ValueError("no")

    await queue.add_bulk([NewJob("a", n) for n in range(1, 4)])
    await queue.add("first among equals", 0, JobOptions(lifo=True))
    ended = await process_all(queue, handle)
    assert ran == [0, 1, 2, 3]
    assert [type(notice) for notice in ended] == [JobCompleted, JobCompleted, JobFailed, JobCompleted]
    counts = await queue.counts()
    assert (counts[State.COMPLETED], counts[State.FAILED], sum(counts.values())) == (3, 1, 4)


async def test_an_empty_queue_is_done_at_once(queue: Queue) -> None:
    assert await process_all(queue, _nothing) == []


async def test_delayed_jobs_run_once_the_clock_is_moved_to_them(timed: Queue, clock: MovableClock) -> None:
    await timed.add_bulk([NewJob("hour", 1, JobOptions(delay_ms=3_600_000)), NewJob("now", 2)])
    assert [notice.job.name for notice in await process_all(timed, _nothing)] == ["now"]
    clock.advance(3_599_999)
    assert await process_all(timed, _nothing) == []
    clock.advance(1)
    assert [notice.job.name for notice in await process_all(timed, _nothing)] == ["hour"]


async def test_retries_run_as_far_as_they_are_due(timed: Queue, clock: MovableClock) -> None:
    async def handle(job: Job) -> None:
        raise ConnectionError(f"attempt {job.attempt}")

    await timed.add("a", 1, JobOptions(attempts=3, backoff=Backoff.fixed(1_000)))
    (first,) = await process_all(timed, handle)
    clock.advance(1_000)
    (second,) = await process_all(timed, handle)
    clock.advance(1_000)
    (third,) = await process_all(timed, handle)
    assert [type(notice) for notice in (first, second, third)] == [JobRetried, JobRetried, JobFailed]


async def test_what_may_run_again_at_once_does(timed: Queue) -> None:
    async def handle(job: Job) -> object:
        if job.name == "snoozes":
            return Snooze(0) if job.attempts_started < 3 else None
        if job.attempt < 3:
            raise ValueError("again")
        return None

    await timed.add_bulk([NewJob("snoozes", 1), NewJob("fails", 2, JobOptions(attempts=3))])
    ended = await process_all(timed, handle)
    assert sum(isinstance(notice, JobSnoozed) for notice in ended) == 2
    assert sum(isinstance(notice, JobRetried) for notice in ended) == 2
    assert (await timed.counts())[State.COMPLETED] == 2


async def test_what_handlers_add_is_processed_too(queue: Queue) -> None:
    async def handle(job: Job) -> None:
        if job.data:
            await queue.add("next", job.data - 1)

    await queue.add("next", 3)
    assert len(await process_all(queue, handle)) == 4


async def test_handlers_that_wait_are_waited_for(queue: Queue) -> None:
    both = asyncio.Barrier(2)

    async def handle(_: Job) -> None:
        await both.wait()

    await queue.add_bulk([NewJob("a", n) for n in range(4)])
    assert len(await process_all(queue, handle, WorkerOptions(concurrency=2))) == 4


async def test_a_paused_or_limited_queue_has_nothing_to_do(queue: Queue) -> None:
    async def handle(_: Job) -> RateLimited:
        return RateLimited(60_000)

    await queue.add("a", 1)
    await queue.pause()
    assert await process_all(queue, handle) == []
    await queue.resume()
    assert [type(notice) for notice in await process_all(queue, handle)] == [JobHandedBack]
    assert await process_all(queue, handle) == []


async def test_batches_are_processed_too(queue: Queue) -> None:
    sizes: list[int] = []

    async def handle(jobs: Sequence[Job]) -> None:
        sizes.append(len(jobs))

    await queue.add_bulk([NewJob("a", n) for n in range(5)])
    assert len(await process_all(queue, handle, WorkerOptions(batch=Batch(size=3)))) == 5
    assert sizes == [3, 2]


async def test_a_running_worker_that_is_rung_sees_that_the_clock_was_moved(
    timed: Queue, clock: MovableClock, probe: Probe
) -> None:
    options = WorkerOptions(block_ms=60_000)
    async with working("q", _nothing, timed.connection, options, prefix=timed.prefix, probe=probe):
        await timed.add("day", 1, JobOptions(delay_ms=86_400_000))
        await timed.add("now", 2)
        await probe.seen(JobCompleted)
        clock.advance(86_400_000)
        await ring(timed)
        done = await probe.seen(JobCompleted, 2)
    assert [notice.job.name for notice in done] == ["now", "day"]


def test_a_clock_does_not_go_back(clock: MovableClock) -> None:
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)


async def test_expected_jobs_are_found_in_whatever_state_they_wait(queue: Queue) -> None:
    data = {"to": "Ana", "content": {"type": "text", "text": "hi"}, "tags": [1, 2]}
    await queue.add("send", data)
    await queue.add("send", data | {"to": "Bia"}, JobOptions(delay_ms=9_000))
    await queue.add("other", 5, JobOptions(priority=2))
    assert len(await assert_enqueued(queue)) == 3
    assert len(await assert_enqueued(queue, name="send", count=2)) == 2
    (found,) = await assert_enqueued(queue, data={"to": "Bia", "content": {"type": "text"}, "tags": [1, 2]}, count=1)
    assert found.id == "2"
    assert [job.id for job in await assert_enqueued(queue, data=5)] == ["3"]
    await assert_enqueued(queue, name="nothing of the kind", count=0)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"name": "reply"}, "expected at least 1 job 'reply' in queue 'q', found 0 among 2:"),
        ({"name": "send", "count": 2}, "expected 2 job 'send' in queue 'q', found 1 among 2:"),
        ({"data": {"to": "Caio"}}, 'expected at least 1 job with {"to":"Caio"} in queue \'q\', found 0 among 2:'),
        ({"data": {"to": {"name": "Ana"}}, "count": 1}, "found 0 among 2:"),
        ({"data": None}, "expected at least 1 job with null in queue 'q', found 0 among 2:"),
        ({"count": 0}, "expected 0 job in queue 'q', found 2 among 2:"),
    ],
)
async def test_what_is_not_as_expected_is_shown(queue: Queue, wanted: dict[str, object], says: str) -> None:
    await queue.add("send", {"to": "Ana"})
    await queue.add("note", "x" * 1_000, JobOptions(delay_ms=9_000))
    with pytest.raises(AssertionError) as failure:
        await assert_enqueued(queue, **wanted)  # type: ignore[arg-type]
    headline, *lines = str(failure.value).splitlines()
    assert says in headline
    assert lines[0] == '  1 \'send\' waiting {"to":"Ana"}'
    assert lines[1].startswith("  2 'note' delayed \"xxx")
    assert lines[1].endswith("…")


async def test_what_is_active_or_over_is_not_enqueued(queue: Queue) -> None:
    await queue.add("a", 1)
    await process_all(queue, _nothing)
    with pytest.raises(AssertionError, match="found 0 among 0"):
        await assert_enqueued(queue)


async def test_the_embedded_server_is_a_real_one_and_ends_with_the_block() -> None:
    async with embedded_server() as url, Connection.from_url(url) as connection:
        queue = Queue("q", connection)
        await queue.add("a", 1)
        assert len(await process_all(queue, _nothing)) == 1
    async with Connection.from_url(url) as connection:
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(_connect(url), 5)


async def _connect(url: str) -> None:
    host, port = url.removeprefix("redis://").removesuffix("/0").split(":")
    await asyncio.open_connection(host, int(port))
