"""Due times, limits and locks. A worker's poll is set to a minute: whatever starts, started by an exact wake-up."""

import asyncio

import pytest

from berrante.engine import (
    Backoff,
    Connection,
    Job,
    JobOptions,
    NewJob,
    Queue,
    QueueEvents,
    RateLimit,
    State,
    WorkerOptions,
)
from berrante.engine.link import Link
from berrante.engine.lock_renewer import LockRenewer
from berrante.engine.notices import (
    JobCompleted,
    JobFailed,
    JobLockLost,
    JobsStalled,
    JobStarted,
    RedisLost,
)
from berrante.engine.pace import Pace
from berrante.engine.stalled_sweeper import StalledSweeper
from berrante.engine.wire import taking
from berrante.engine.wire.scripts import Call
from tests.probes import Probe, working

NO_POLL_MS = 60_000  # a test waits 20 s at most, so nothing here can be owed to the poll


async def _nothing(_: Job) -> None: ...


async def test_an_idle_worker_is_woken_by_an_add(queue: Queue, connection: Connection, probe: Probe) -> None:
    options = WorkerOptions(block_ms=NO_POLL_MS)
    async with working("q", _nothing, connection, options, prefix=queue.prefix, probe=probe):
        for n in range(1, 6):
            await queue.add("a", n)
            await probe.seen(JobCompleted, n)


async def test_a_ring_is_heard_though_the_answer_of_an_earlier_turn_is_read_after_it(
    queue: Queue, connection: Connection, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, rang = asyncio.Event(), asyncio.Event()
    call, ask_again = Link.call, Pace.ask_again

    async def answered_late(link: Link, script: Call) -> object:
        answer = await call(link, script)
        if await queue.is_paused() and await queue.state("2") is State.WAITING:
            asked.set()  # it found the job due, but the queue paused; its answer is read once the bell rang
            await rang.wait()
        return answer

    def heard(pace: Pace) -> None:
        ask_again(pace)
        rang.set()

    options = WorkerOptions(block_ms=NO_POLL_MS, concurrency=1)
    async with working("q", _nothing, connection, options, prefix=queue.prefix, probe=probe):
        await queue.add("first", 1)
        await probe.seen(JobCompleted, 1)
        await queue.pause()
        monkeypatch.setattr(Link, "call", answered_late)
        await queue.add("second", 2, JobOptions(delay_ms=200))
        await asyncio.wait_for(asked.wait(), 20)
        rang.clear()
        monkeypatch.setattr(Pace, "ask_again", heard)
        await queue.resume()
        await probe.seen(JobCompleted, 2)


async def test_a_delayed_job_starts_when_due_not_before(queue: Queue, connection: Connection, probe: Probe) -> None:
    options = WorkerOptions(block_ms=NO_POLL_MS)
    async with working("q", _nothing, connection, options, prefix=queue.prefix, probe=probe):
        await queue.add_bulk([NewJob("late", 1, JobOptions(delay_ms=300)), NewJob("soon", 2, JobOptions(delay_ms=100))])
        done = await probe.seen(JobCompleted, 2)
    assert [notice.job.name for notice in done] == ["soon", "late"]
    for notice in done:
        job = await queue.get(notice.job.id)
        assert job is not None
        assert job.processed_on_ms is not None
        assert job.processed_on_ms >= job.timestamp_ms + job.options.delay_ms


async def test_a_delayed_job_that_was_there_before_the_worker_starts_when_due(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    await queue.add("late", 1, JobOptions(delay_ms=200))
    await connection.redis.delete(queue.keys.marker)  # an earlier worker took it and died
    options = WorkerOptions(block_ms=NO_POLL_MS)
    async with working("q", _nothing, connection, options, prefix=queue.prefix, probe=probe):
        await probe.seen(JobCompleted)


async def test_a_busy_worker_leaves_the_marker_to_an_idle_one(queue: Queue, connection: Connection) -> None:
    release, held = asyncio.Event(), asyncio.Event()

    async def hold(_: Job) -> None:
        held.set()
        await release.wait()

    options = WorkerOptions(block_ms=NO_POLL_MS)
    first, second = Probe(), Probe()
    async with working("q", hold, connection, options, prefix=queue.prefix, probe=first):
        await queue.add("a", 1)
        await held.wait()
        async with working("q", _nothing, connection, options, prefix=queue.prefix, probe=second):
            await queue.add("b", 2)
            (started,) = await second.seen(JobStarted)
            assert started.job.id == "2"
            release.set()
            await first.seen(JobCompleted)


async def test_a_read_that_only_waits_is_not_taken_for_a_dead_socket(
    queue: Queue, redis_url: str, probe: Probe
) -> None:
    """PyPI bullmq with redis-py 8: the block outlives the socket's time-out, and delayed jobs hang."""
    async with Connection.from_url(redis_url, socket_timeout_s=0.2) as impatient:
        options = WorkerOptions(block_ms=1_000)
        async with working("q", _nothing, impatient, options, prefix=queue.prefix, probe=probe):
            await queue.add("late", 1, JobOptions(delay_ms=700))
            await probe.seen(JobCompleted)
    assert probe.of(RedisLost) == []


async def test_a_limited_queue_goes_on_as_its_window_opens(queue: Queue, connection: Connection, probe: Probe) -> None:
    """PyPI bullmq stores the limit and never reads it: 5 per second ran as 5 per drain delay."""
    options = WorkerOptions(concurrency=10, block_ms=NO_POLL_MS, rate=RateLimit(max=5, duration_ms=200))
    await queue.add_bulk([NewJob("a", n) for n in range(15)])
    async with working("q", _nothing, connection, options, prefix=queue.prefix, probe=probe):
        await probe.seen(JobCompleted, 15)
    starts = sorted([(await queue.get(str(n))).processed_on_ms for n in range(1, 16)])  # type: ignore[union-attr]
    assert starts[14] - starts[0] >= 2 * 200 - 20  # three windows; the server's clock and ours differ by ticks
    assert all(later - earlier >= 200 - 20 for earlier, later in zip(starts, starts[10:], strict=False))


async def test_a_limit_holds_over_all_workers_of_the_queue(queue: Queue, connection: Connection) -> None:
    options = WorkerOptions(concurrency=5, block_ms=NO_POLL_MS, rate=RateLimit(max=4, duration_ms=250))
    await queue.add_bulk([NewJob("a", n) for n in range(8)])
    started: list[int] = []
    done = asyncio.Event()

    async def handle(_: Job) -> None:
        started.append(connection.now_ms())
        if len(started) == 8:
            done.set()

    async with (
        working("q", handle, connection, options, prefix=queue.prefix),
        working("q", handle, connection, options, prefix=queue.prefix),
    ):
        await asyncio.wait_for(done.wait(), 20)
    assert started[4] - started[0] >= 200


async def test_a_limit_set_on_the_queue_itself_is_respected(queue: Queue, connection: Connection, probe: Probe) -> None:
    await queue.set_rate(2, 150)
    await queue.add_bulk([NewJob("a", n) for n in range(6)])
    options = WorkerOptions(concurrency=6, block_ms=NO_POLL_MS)
    async with working("q", _nothing, connection, options, prefix=queue.prefix, probe=probe):
        done = await probe.seen(JobStarted, 6)
    assert len(done) == 6
    starts = sorted([(await queue.get(str(n))).processed_on_ms for n in range(1, 7)])  # type: ignore[union-attr]
    assert starts[5] - starts[0] >= 2 * 150 - 20


async def test_concurrency_set_on_the_queue_bounds_all_workers(queue: Queue, connection: Connection) -> None:
    await queue.set_concurrency(2)
    await queue.add_bulk([NewJob("a", n) for n in range(12)])
    running, most, done = 0, 0, 0
    all_done = asyncio.Event()

    async def handle(job: Job) -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await job.log("a round trip, so that others may run")
        running -= 1
        done += 1
        if done == 12:
            all_done.set()

    options = WorkerOptions(concurrency=5, block_ms=500)
    async with (
        working("q", handle, connection, options, prefix=queue.prefix),
        working("q", handle, connection, options, prefix=queue.prefix),
    ):
        await asyncio.wait_for(all_done.wait(), 20)
    assert most <= 2


async def test_pause_and_resume_reach_an_idle_worker(queue: Queue, connection: Connection, probe: Probe) -> None:
    options = WorkerOptions(block_ms=NO_POLL_MS)
    await queue.pause()
    await queue.add("a", 1)
    async with working("q", _nothing, connection, options, prefix=queue.prefix, probe=probe):
        assert probe.of(JobStarted) == []
        await queue.resume()
        await probe.seen(JobCompleted)


async def test_renewal_keeps_all_locks_and_tells_of_a_lost_one(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    both, release = asyncio.Event(), asyncio.Event()
    jobs: list[Job] = []

    async def hold(job: Job) -> None:
        jobs.append(job)
        if len(jobs) == 2:
            both.set()
        await release.wait()

    await queue.add_bulk([NewJob("a", 1), NewJob("b", 2)])
    async with working("q", hold, connection, WorkerOptions(concurrency=2), prefix=queue.prefix, probe=probe):
        await both.wait()
        locks = [queue.keys.job(job.id) + ":lock" for job in jobs]
        await connection.redis.pexpire(locks[0], 5_000)
        await connection.redis.set(locks[1], "another:1")
        settling = LockRenewer(
            connection, queue.keys, lock_ms=30_000, held=lambda: jobs, runs=lambda _: False, listener=probe
        )
        await settling.renew()
        assert [job.lock_lost.is_set() for job in jobs] == [False, False], "Redis may have taken what came of them"
        renewer = LockRenewer(
            connection, queue.keys, lock_ms=30_000, held=lambda: jobs, runs=lambda _: True, listener=probe
        )
        await renewer.renew()
        assert await connection.redis.pttl(locks[0]) > 20_000
        assert [job.lock_lost.is_set() for job in jobs] == [False, True]
        release.set()
        await probe.seen(JobCompleted)
        lost = await probe.seen(JobLockLost, 2)
    assert [notice.job.id for notice in lost] == [jobs[1].id] * 2
    assert await queue.state(jobs[1].id) is State.ACTIVE  # the other's job was left alone


async def test_a_silent_workers_job_waits_again_and_runs_once(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    await queue.add("a", 1)
    dead = taking.take(queue.keys, token="dead:1", lock_ms=1, rate=None, worker="d", now_ms=connection.now_ms())
    assert taking.taken(await connection.run(dead)).job_id == "1"
    await connection.redis.delete(queue.keys.job("1") + ":lock")
    sweeper = StalledSweeper(connection, queue.keys, max_stalled=1, interval_ms=1, listener=probe)
    async with working("q", _nothing, connection, WorkerOptions(block_ms=NO_POLL_MS), prefix=queue.prefix, probe=probe):
        for _ in range(50):
            await sweeper.sweep()
            if probe.of(JobsStalled):
                break
        await probe.seen(JobCompleted)
    assert probe.of(JobsStalled)[0].job_ids == ("1",)
    job = await queue.get("1")
    assert job is not None
    assert (job.stalled_count, job.attempts_made, job.attempts_started) == (1, 1, 2)


async def test_a_job_that_stalls_too_often_fails_without_another_run(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    await queue.add("a", 1, JobOptions(attempts=5))
    sweeper = StalledSweeper(connection, queue.keys, max_stalled=0, interval_ms=1, listener=probe)
    dead = taking.take(queue.keys, token="dead:1", lock_ms=1, rate=None, worker="d", now_ms=connection.now_ms())
    await connection.run(dead)
    await connection.redis.delete(queue.keys.job("1") + ":lock")
    for _ in range(50):
        await sweeper.sweep()
        if await queue.state("1") is not State.ACTIVE:
            break
    options = WorkerOptions(dead_letters="dead-letter")
    async with working("q", _nothing, connection, options, prefix=queue.prefix, probe=probe):
        (failed,) = await probe.seen(JobFailed)
    assert "stalled" in failed.reason
    assert probe.of(JobStarted) == []
    assert failed.dead_letter_id is not None


async def test_an_outcome_whose_connection_breaks_is_told_again_and_the_handler_not_run_again(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    """PyPI bullmq retries the processor when only the acknowledgement failed: a second message to the customer."""
    runs = 0

    async def handle(_: Job) -> str:
        nonlocal runs
        runs += 1
        await connection.redis.client_kill_filter(_type="normal", skipme=True)
        return "sent"

    await queue.add("a", 1, JobOptions(attempts=5, backoff=Backoff.fixed(1)))
    async with working("q", handle, connection, prefix=queue.prefix, probe=probe):
        await probe.seen(JobCompleted)
    job = await queue.get("1")
    assert job is not None
    assert (runs, job.return_value, job.attempts_made) == (1, "sent", 1)


async def test_many_broken_connections_lose_and_double_nothing(queue: Queue, redis_url: str) -> None:
    runs: dict[str, int] = {}
    done = asyncio.Event()
    probe = Probe()
    one_at_a_time = asyncio.Lock()
    async with Connection.from_url(redis_url) as connection, Connection.from_url(redis_url) as killer:

        async def handle(job: Job) -> None:
            runs[job.id] = runs.get(job.id, 0) + 1
            if int(job.id) % 20 == 0:
                async with one_at_a_time:  # a killer would cut off another
                    await killer.redis.client_kill_filter(_type="normal", skipme=True)
            if len(runs) == 200:
                done.set()

        await queue.add_bulk([NewJob("a", n) for n in range(200)])
        options = WorkerOptions(concurrency=8)
        async with working("q", handle, connection, options, prefix=queue.prefix, probe=probe):
            await asyncio.wait_for(done.wait(), 20)
            await probe.seen(JobCompleted, 200)
    assert set(runs.values()) == {1}
    assert probe.of(JobLockLost) == []
    counts = await queue.counts()
    assert counts[State.COMPLETED] == 200
    assert sum(counts.values()) == 200


async def test_events_tell_every_transition_with_its_fields(queue: Queue, connection: Connection) -> None:
    async def handle(job: Job) -> object:
        await job.update_progress(50)
        if job.name == "bad":
            raise ValueError("no")
        return {"ok": 1}

    probe = Probe()
    await queue.add("good", 1)
    await queue.add("bad", 2)
    async with working("q", handle, connection, prefix=queue.prefix, probe=probe):
        await probe.seen(JobCompleted)
        await probe.seen(JobFailed)
    seen: dict[tuple[str, str | None], dict[str, object]] = {}
    async for event in QueueEvents("q", connection, prefix=queue.prefix, block_ms=100).listen("0"):
        seen[event.name, event.job_id] = event.fields
        if event.name in ("failed", "retries-exhausted"):
            break
    assert seen["completed", "1"]["returnvalue"] == {"ok": 1}
    assert seen["progress", "1"]["data"] == 50
    assert seen["active", "2"] == {"prev": "waiting"}
    assert seen["added", "1"]["name"] == "good"


@pytest.mark.parametrize("since", ["$", "0"])
async def test_events_begin_where_asked(queue: Queue, connection: Connection, since: str) -> None:
    await queue.add("a", 1)
    events = QueueEvents("q", connection, prefix=queue.prefix, block_ms=100).listen(since)
    first = asyncio.ensure_future(anext(events))
    while since == "$" and not first.done():
        await queue.add("b", 2)
    event = await first
    assert event.job_id == "1" if since == "0" else event.job_id != "1"
    await events.aclose()  # type: ignore[attr-defined]
