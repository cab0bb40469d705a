"""Groups as their users meet them: fair turns, limits, operators' hands, and peers that know no groups."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from berrante.engine import (
    Backoff,
    Batch,
    Connection,
    Deduplication,
    Flow,
    FlowProducer,
    GroupLimits,
    GroupRate,
    Job,
    JobMissing,
    JobOptions,
    NewJob,
    Queue,
    RateLimited,
    Snooze,
    State,
    Waits,
    Worker,
    WorkerOptions,
)
from berrante.engine.notices import JobCompleted, JobHandedBack, JobsStalled, JobStarted
from berrante.engine.testing import MovableClock, process_all
from berrante.engine.wire import grouping
from tests.probes import Probe, working
from tests.waiting import until


@pytest.fixture
def queue(connection: Connection, prefix: str) -> Queue:
    return Queue("q", connection, prefix=prefix)


@pytest.fixture
def probe() -> Probe:
    return Probe()


def _new(group: str, data: object, **options: int) -> NewJob:
    return NewJob("send", data, JobOptions(group=group, **options))


async def _run(queue: Queue, options: WorkerOptions | None = None) -> list[str]:
    """Run all that may run now, one after the other, and return the data in order."""
    ran: list[str] = []

    async def handle(job: Job) -> None:
        ran.append(job.data)

    await process_all(queue, handle, options)
    return ran


async def test_groups_take_turns_and_each_goes_by_priority_and_age(queue: Queue) -> None:
    await queue.add_bulk([_new("a", f"a{n}") for n in range(3)])
    await queue.add_bulk([_new("b", "b-late", priority=5), _new("b", "b-soon", priority=1)])
    await queue.add("send", "free")
    assert await _run(queue) == ["free", "a0", "b-soon", "a1", "b-late", "a2"]


async def test_a_weight_of_three_gets_three_turns_of_four(queue: Queue) -> None:
    await queue.groups.set("big", GroupLimits(weight=3))
    await queue.add_bulk([_new("big", "B") for _ in range(40)] + [_new("small", "s") for _ in range(40)])
    assert (await _run(queue))[:40].count("B") == 30


async def test_groups_go_in_the_order_of_their_coming_and_before_all_second_turns(queue: Queue) -> None:
    ran: list[str] = []
    newcomers = [f"a{number:02}" for number in reversed(range(20))]

    async def handle(job: Job) -> None:
        ran.append(job.data)
        if len(ran) <= len(newcomers):
            await queue.add("send", name := newcomers[len(ran) - 1], JobOptions(group=name))

    firsts = [f"g{number:02}" for number in reversed(range(20))]
    await queue.add_bulk([_new(name, name) for name in [*firsts, *firsts]])
    await process_all(queue, handle)
    assert ran == [*firsts, *newcomers, *firsts]


async def test_one_added_alone_goes_the_same_way_as_many(queue: Queue) -> None:
    job = await queue.add("send", {"to": "Ana"}, JobOptions(group="a", priority=3))
    assert job.group == "a"
    found = await queue.get(job.id)
    assert found is not None
    assert (found.group, found.options.group, found.priority) == ("a", "a", 3)
    assert await queue.state(job.id) is State.WAITING
    assert [there.id for there in await queue.jobs([State.WAITING])] == [job.id]
    assert (await queue.counts())[State.WAITING] == 1


async def test_a_custom_id_is_added_once(queue: Queue) -> None:
    for _ in range(2):
        await queue.add("send", 1, JobOptions(group="a", job_id="own"))
    assert await _run(queue) == [1]


async def test_a_custom_id_is_added_once_in_one_call_too(queue: Queue) -> None:
    await queue.add_bulk([_new("a", "old", job_id="there")])
    jobs = [_new("a", "again", job_id="there"), _new("a", 1, job_id="new"), _new("b", 2, job_id="new"), _new("a", 3)]
    await queue.add_bulk([*jobs, NewJob("send", 4, JobOptions(job_id="new"))])
    assert await _run(queue) == ["old", 1, 3]


async def test_what_still_counts_as_active_when_it_is_added_goes_first_of_many(
    queue: Queue, connection: Connection
) -> None:
    await connection.redis.hset(queue.keys.state("groups:held"), "given-up", "a")
    await queue.add_bulk([_new("a", name, job_id=name) for name in ("one", "two", "given-up", "three")])
    assert await _run(queue) == ["given-up", "one", "two", "three"]
    assert not await connection.redis.exists(queue.keys.state("groups:held"))


async def test_concurrency_holds_over_workers(queue: Queue, connection: Connection, probe: Probe) -> None:
    now = most = 0
    gate = asyncio.Event()

    async def handle(job: Job) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await gate.wait()
        now -= 1

    await queue.add_bulk([_new("a", n) for n in range(20)])
    options = WorkerOptions(concurrency=8, groups=GroupLimits(concurrency=2))
    async with (
        working("q", handle, connection, options, prefix=queue.prefix, probe=probe),
        working("q", handle, connection, options, prefix=queue.prefix, probe=probe),
    ):
        await probe.seen(JobStarted, 2)
        stats = await queue.groups.stats("a")
        assert (stats.active, stats.why, stats.waiting) == (2, Waits.CONCURRENCY, {0: 18})
        gate.set()
        await probe.seen(JobCompleted, 20)
    assert most == 2


async def test_a_rate_is_exact_and_holds_over_restarts(redis_url: str, prefix: str) -> None:
    clock = MovableClock()
    async with Connection.from_url(redis_url, clock=clock) as connection:
        queue = Queue("q", connection, prefix=prefix)
        await queue.add_bulk([_new("a", n) for n in range(10)])
        options = WorkerOptions(groups=GroupLimits(rate=GroupRate(max=1, duration_ms=30_000, burst=2)))
        assert await _run(queue, options) == [0, 1]
        clock.advance(29_999)
        assert await _run(queue, options) == []
        clock.advance(1)
        assert await _run(queue, options) == [2]
        stats = await queue.groups.stats("a")
        assert (stats.why, stats.next_ms) == (Waits.RATE, clock() + 30_000)
        clock.advance(60_000)
        assert await _run(queue, options) == [3, 4]


async def test_jitter_spreads_the_gaps_and_keeps_the_mean(redis_url: str, prefix: str) -> None:
    clock = MovableClock()
    async with Connection.from_url(redis_url, clock=clock) as connection:
        queue = Queue("q", connection, prefix=prefix)
        await queue.add_bulk([_new("a", n) for n in range(200)])
        options = WorkerOptions(groups=GroupLimits(rate=GroupRate(max=1, duration_ms=1_000), jitter=0.2))
        dues: list[int] = []
        while await _run(queue, options):
            due = (await queue.groups.stats("a")).next_ms
            if due is None:
                break
            dues.append(due - clock())
            clock.advance(due - clock())
    assert min(dues) >= 799
    assert max(dues) <= 1_201
    assert max(dues) - min(dues) > 300  # spread, not just moved
    assert sum(dues) / len(dues) == pytest.approx(1_000, rel=0.03)


async def test_a_group_returns_when_its_time_comes(queue: Queue, connection: Connection, probe: Probe) -> None:
    """On an idle worker, by its own clock: nothing is polled, so this ends in a second or not at all."""

    async def handle(job: Job) -> None: ...

    options = WorkerOptions(block_ms=60_000, groups=GroupLimits(rate=GroupRate(max=20)))
    async with working("q", handle, connection, options, prefix=queue.prefix, probe=probe):
        await queue.add_bulk([_new("a", n) for n in range(10)])
        await probe.seen(JobCompleted, 10)


async def test_another_worker_hears_when_a_group_is_due(queue: Queue, connection: Connection, probe: Probe) -> None:
    """The one that knows of the due time is busy: the idle one must start the job."""
    gate = asyncio.Event()

    async def stuck(job: Job) -> None:
        await gate.wait()

    async def handle(job: Job) -> None: ...

    idle = Probe()
    options = WorkerOptions(block_ms=60_000, groups=GroupLimits(rate=GroupRate(max=5)))
    async with working("q", stuck, connection, options, prefix=queue.prefix, probe=probe):
        await queue.add("send", 1, JobOptions(group="a"))
        await probe.seen(JobStarted)
        async with working("q", handle, connection, options, prefix=queue.prefix, probe=idle):
            await queue.add("send", 2, JobOptions(group="a"))
            await idle.seen(JobCompleted)
            gate.set()
        await probe.seen(JobCompleted)


async def test_a_429_rests_its_group_alone_and_costs_no_attempt(redis_url: str, prefix: str) -> None:
    clock = MovableClock()
    async with Connection.from_url(redis_url, clock=clock) as connection:
        queue = Queue("q", connection, prefix=prefix)
        await queue.add_bulk([_new("a", "a1"), _new("a", "a2"), _new("b", "b1")])
        seen: list[str] = []

        async def handle(job: Job) -> object:
            seen.append(job.data)
            return RateLimited(5_000) if seen == ["a1"] else None

        await process_all(queue, handle)
        assert seen == ["a1", "b1"]
        stats = await queue.groups.stats("a")
        assert (stats.why, stats.next_ms) == (Waits.REST, clock() + 5_000)
        clock.advance(5_000)
        await process_all(queue, handle)
        assert seen == ["a1", "b1", "a1", "a2"]
        job = await queue.get("1")
        assert job is not None
        assert job.attempts_made == 1


async def test_rate_limit_by_hand_is_the_longer_one(redis_url: str, prefix: str) -> None:
    clock = MovableClock()
    async with Connection.from_url(redis_url, clock=clock) as connection:
        queue = Queue("q", connection, prefix=prefix)
        await queue.groups.rate_limit("a", 9_000)
        await queue.groups.rate_limit("a", 10)
        await queue.add("send", 1, JobOptions(group="a"))
        assert await _run(queue) == []
        clock.advance(9_000)
        assert await _run(queue) == [1]
        with pytest.raises(ValueError, match="rest_ms is -1"):
            await queue.groups.rate_limit("a", -1)


async def test_a_rest_is_ended_by_hand_and_never_made_longer(redis_url: str, prefix: str) -> None:
    clock = MovableClock()
    async with Connection.from_url(redis_url, clock=clock) as connection:
        queue = Queue("q", connection, prefix=prefix)
        await queue.groups.rate_limit("a", 9_000)
        await queue.groups.wake("a")
        await queue.groups.wake("nobody")
        await queue.add("send", 1, JobOptions(group="a"))
        assert await _run(queue) == [1]
        await queue.groups.rate_limit("a", 100)
        await queue.groups.wake("a", after_ms=5_000)
        await queue.add("send", 2, JobOptions(group="a"))
        assert await _run(queue) == []
        clock.advance(100)
        assert await _run(queue) == [2]
        await queue.groups.rate_limit("a", 9_000)
        await queue.add("send", 3, JobOptions(group="a"))
        await queue.groups.wake("a", after_ms=50)
        assert await _run(queue) == []
        clock.advance(50)
        assert await _run(queue) == [3]
        with pytest.raises(ValueError, match="after_ms is -1"):
            await queue.groups.wake("a", after_ms=-1)


async def test_pause_and_resume(queue: Queue, connection: Connection, probe: Probe) -> None:
    assert await queue.groups.pause("a") is True  # of a group that is not there yet
    assert await queue.groups.pause("a") is False
    await queue.add_bulk([_new("a", "a1"), _new("b", "b1")])
    assert await _run(queue) == ["b1"]
    assert (await queue.groups.stats("a")).why is Waits.PAUSED

    async def handle(job: Job) -> None: ...

    async with working("q", handle, connection, WorkerOptions(block_ms=60_000), prefix=queue.prefix, probe=probe):
        assert await queue.groups.resume("a") is True
        await probe.seen(JobCompleted)
    assert await queue.groups.resume("a") is False


async def test_limits_of_its_own_hold_at_once(queue: Queue, connection: Connection, probe: Probe) -> None:
    gate = asyncio.Event()

    async def handle(job: Job) -> None:
        await gate.wait()

    own = GroupLimits(concurrency=3, rate=GroupRate(max=80, burst=5), jitter=0.1, weight=2, floor=0.2)
    await queue.add_bulk([_new("a", n) for n in range(6)])
    options = WorkerOptions(concurrency=10, groups=GroupLimits(concurrency=1))
    async with working("q", handle, connection, options, prefix=queue.prefix, probe=probe):
        await probe.seen(JobStarted, 1)
        assert (await queue.groups.stats("a")).limits == GroupLimits(concurrency=1)
        await queue.groups.set("a", own)
        await probe.seen(JobStarted, 3)
        assert await queue.groups.get("a") == own
        assert (await queue.groups.stats("a")).limits == own
        gate.set()
        await probe.seen(JobCompleted, 6)
    assert await queue.groups.clear("a") is True
    assert await queue.groups.clear("a") is False
    assert await queue.groups.get("a") is None


async def test_the_lowest_priority_gets_its_floor(queue: Queue) -> None:
    await queue.add_bulk([_new("a", "reply", priority=1) for _ in range(40)])
    await queue.add_bulk([_new("a", "campaign", priority=5) for _ in range(40)])
    assert (await _run(queue))[:40].count("campaign") == 4
    await queue.groups.set("b", GroupLimits(floor=0))
    await queue.add_bulk([_new("b", "reply", priority=1) for _ in range(20)] + [_new("b", "campaign", priority=5)])
    assert (await _run(queue))[-1] == "campaign"


async def test_a_reply_leaves_with_the_next_slot_and_the_campaign_gets_its_floor(redis_url: str, prefix: str) -> None:
    clock = MovableClock()
    async with Connection.from_url(redis_url, clock=clock) as connection:
        queue = Queue("q", connection, prefix=prefix)
        await queue.groups.set("number", GroupLimits(rate=GroupRate(max=1)))
        campaign = JobOptions(group="number", priority=5)
        await queue.add_bulk([NewJob("send", "campaign", campaign) for _ in range(50_000)])
        left: list[str] = []
        for second in range(60):
            await queue.add("send", f"reply {second}", JobOptions(group="number", priority=1))
            left += await _run(queue)
            clock.advance(1_000)
        assert len(left) == 60
        assert left.count("campaign") == 6  # a tenth
        # Each reply goes with the next slot, or with the one after the campaign's.
        replies = [data for data in left if data != "campaign"]
        assert replies == [f"reply {n}" for n in range(54)]


async def test_a_retried_job_comes_back_into_its_group(redis_url: str, prefix: str) -> None:
    clock = MovableClock()
    async with Connection.from_url(redis_url, clock=clock) as connection:
        queue = Queue("q", connection, prefix=prefix)
        again = JobOptions(group="a", attempts=2, backoff=Backoff.fixed(1_000), priority=3)
        job = await queue.add("send", 1, again)
        await queue.add_bulk([_new("a", 2, priority=5), _new("b", 3)])

        async def handle(job: Job) -> object:
            if job.attempt == 1 and job.data == 1:
                raise RuntimeError("not now")
            return Snooze(500) if job.data == 3 and job.attempts_started == 1 else None

        options = WorkerOptions(groups=GroupLimits(concurrency=1))
        await process_all(queue, handle, options)
        assert await queue.state(job.id) is State.DELAYED
        assert (await queue.groups.stats("a")).active == 0
        await queue.groups.pause("a")
        clock.advance(1_000)
        assert await _run(queue, options) == [3]
        assert await queue.state(job.id) is State.WAITING
        assert (await queue.groups.stats("a")).waiting == {3: 1}
        await queue.groups.resume("a")
        assert await _run(queue, options) == [1]


async def test_what_a_stopping_worker_hands_back_goes_to_the_head(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    never = asyncio.Event()

    async def handle(job: Job) -> None:
        await never.wait()

    await queue.add_bulk([_new("a", n) for n in range(3)])
    worker = Worker("q", handle, connection, WorkerOptions(stop_deadline_ms=0), prefix=queue.prefix, listener=probe)
    running = asyncio.create_task(worker.run())
    await probe.seen(JobStarted)
    await worker.stop()
    await running
    await probe.seen(JobHandedBack)
    assert (await queue.groups.stats("a")).active == 0
    assert await _run(queue) == [0, 1, 2]


async def test_the_slots_of_a_dead_worker_are_freed_by_the_stall_check(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    never, options = asyncio.Event(), WorkerOptions(groups=GroupLimits(concurrency=1), lock_ms=30_000)

    async def handle(job: Job) -> None:
        await never.wait()

    await queue.add_bulk([_new("a", n) for n in range(2)])
    worker = Worker("q", handle, connection, options, prefix=queue.prefix, listener=probe)
    dead = asyncio.create_task(worker.run())
    await probe.seen(JobStarted)
    dead.cancel()
    await asyncio.gather(dead, return_exceptions=True)
    await connection.redis.delete(queue.keys.job("1") + ":lock")
    ran: list[int] = []

    async def works(job: Job) -> None:
        ran.append(job.data)

    alive = Probe()
    quick = replace(options, stalled_interval_ms=30)
    async with working("q", works, connection, quick, prefix=queue.prefix, probe=alive):
        await alive.seen(JobsStalled)
        await alive.seen(JobCompleted, 2)
    assert ran == [0, 1]


async def test_what_a_peer_ended_is_held_until_the_next_sweep(queue: Queue, connection: Connection) -> None:
    """A job that is gone from active without us, as by a Node worker's hand, does not keep its slot."""
    await queue.add_bulk([_new("a", n) for n in range(2)])
    await queue.groups.set("a", GroupLimits(concurrency=1))
    never = asyncio.Event()

    async def handle(job: Job) -> None:
        never.set()
        await asyncio.Event().wait()

    worker = Worker("q", handle, connection, prefix=queue.prefix)
    running = asyncio.create_task(worker.run())
    await never.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await connection.redis.lrem(queue.keys.active, 1, "1")
    assert await _run(queue) == []
    assert await connection.run(grouping.sweep(queue.keys, now_ms=connection.now_ms())) == 1
    assert await _run(queue) == [1]


async def test_jobs_of_peers_are_filed_by_a_key_of_their_data(queue: Queue) -> None:
    await queue.add_bulk([NewJob("in", {"instanceId": f"n{n % 2}", "n": n}) for n in range(6)])
    await queue.add_bulk([NewJob("in", {"instanceId": 7, "n": 6}), NewJob("in", {"n": 7}), NewJob("in", "bare")])
    ran: list[tuple[str | None, object]] = []

    async def handle(job: Job) -> None:
        ran.append((job.group, job.data["n"] if isinstance(job.data, dict) else job.data))

    await process_all(queue, handle, WorkerOptions(group_by="instanceId", groups=GroupLimits(concurrency=1)))
    assert sorted(ran[:2], key=str) == [(None, "bare"), (None, 7)]
    assert sorted(ran[2:5], key=str) == [("7", 6), ("n0", 0), ("n1", 1)]
    assert ran[5:] == [("n0", 2), ("n1", 3), ("n0", 4), ("n1", 5)]


async def test_more_than_a_turn_may_file_are_all_served(queue: Queue) -> None:
    await queue.add_bulk([NewJob("in", {"g": f"g{n % 3}"}) for n in range(2_500)])
    done = await process_all(
        queue, _nothing, WorkerOptions(concurrency=50, group_by="g", groups=GroupLimits(concurrency=20))
    )
    assert len(done) == 2_500
    assert await _kept(queue) == []


async def test_a_group_named_in_options_survives_bullmqs_own_scripts(queue: Queue, connection: Connection) -> None:
    """With deduplication, as a child of a flow, and with a scheduler, BullMQ's scripts do the work."""
    once = JobOptions(group="a", deduplication=Deduplication(id="x"))
    await queue.add("send", "kept", once)
    await queue.add("send", "dropped", once)
    flows = FlowProducer(connection, prefix=queue.prefix)
    await flows.add(
        Flow(
            queue="q",
            name="parent",
            data="parent",
            options=JobOptions(group="a"),
            children=[Flow(queue="q", name="child", data="child", options=JobOptions(group="b"))],
        )
    )
    seen: list[tuple[str | None, object]] = []

    async def handle(job: Job) -> None:
        seen.append((job.group, job.data))

    await process_all(queue, handle, WorkerOptions(groups=GroupLimits(concurrency=1)))
    assert sorted(seen, key=str) == [("a", "kept"), ("a", "parent"), ("b", "child")]
    assert (await queue.groups.stats("a")).active == 0
    assert not await connection.redis.exists(queue.keys.state("groups:held"))


async def test_an_official_retry_frees_the_slot(queue: Queue, connection: Connection) -> None:
    flows = FlowProducer(connection, prefix=queue.prefix)
    options = JobOptions(group="a", attempts=2)
    await flows.add(
        Flow(queue="q", name="p", data="p", children=[Flow(queue="q", name="c", data="c", options=options)])
    )
    ran: list[str] = []

    async def handle(job: Job) -> None:
        ran.append(job.data)
        if job.data == "c" and job.attempt == 1:
            raise RuntimeError("once")

    await process_all(queue, handle, WorkerOptions(groups=GroupLimits(concurrency=1)))
    assert ran == ["c", "c", "p"]


async def test_operators_may_remove_reorder_promote_clean_and_drain(queue: Queue, connection: Connection) -> None:
    ids = await queue.add_bulk([_new("a", n, priority=5) for n in range(5)])
    (late,) = await queue.add_bulk([_new("a", "late", delay_ms=60_000)])
    assert await queue.remove(ids[1]) is True
    assert await queue.get(ids[1]) is None
    await queue.change_priority(ids[4], 1)
    await queue.promote(late)
    assert await queue.cancel(ids[2]) is True
    assert await _run(queue) == ["late", 4, 0, 3]
    with pytest.raises(JobMissing):
        await queue.change_priority("none", 1)

    await queue.add_bulk([_new(f"g{n % 3}", n) for n in range(9)])
    assert len(await queue.jobs([State.WAITING], end=-1)) == 9
    whole = [job.data for job in await queue.jobs([State.WAITING], end=-1)]
    assert [job.data for job in await queue.jobs([State.WAITING], start=2, end=4)] == whole[2:5]
    assert await queue.groups.remove("g1") == 3
    assert len(await queue.clean(State.WAITING, older_than_ms=60_000)) == 0
    assert len(await queue.clean(State.WAITING, limit=2)) == 2
    await queue.drain()
    assert (await queue.counts())[State.WAITING] == 0
    assert await queue.groups.list() == (0, [])


async def test_a_job_that_a_peer_removed_is_passed_over(queue: Queue, connection: Connection) -> None:
    ids = await queue.add_bulk([_new("a", n) for n in range(3)])
    await connection.redis.delete(queue.keys.job(ids[0]))
    assert await _run(queue) == [1, 2]
    assert await queue.groups.count() == 0


async def test_list_goes_on_from_a_cursor(queue: Queue) -> None:
    await queue.add_bulk([_new(f"g{n:02}", n) for n in range(25)])
    cursor, names = await queue.groups.list(count=20)
    while cursor:
        cursor, more = await queue.groups.list(cursor, count=20)
        names += more
    assert set(names) == {f"g{n:02}" for n in range(25)}


async def test_the_place_of_a_job_says_what_is_before_it_and_when_it_starts(redis_url: str, prefix: str) -> None:
    clock = MovableClock()
    async with Connection.from_url(redis_url, clock=clock) as connection:
        queue = Queue("q", connection, prefix=prefix)
        await queue.groups.set("a", GroupLimits(rate=GroupRate(max=1, duration_ms=30_000)))
        ids = await queue.add_bulk([_new("a", n, priority=5) for n in range(4)])
        await _run(queue)
        place = await queue.groups.place(ids[3])
        assert place is not None
        assert (place.group, place.ahead, place.stats.why) == ("a", 2, Waits.RATE)
        assert place.expected_ms == clock() + 90_000
        assert await queue.groups.place(ids[0]) is None
        assert await queue.groups.place("none") is None


async def test_an_empty_group_takes_no_memory(queue: Queue, connection: Connection) -> None:
    await queue.add_bulk([_new(f"g{n}", n) for n in range(50)])
    options = WorkerOptions(groups=GroupLimits(concurrency=2, rate=GroupRate(max=1_000, duration_ms=1)))
    assert len(await _run(queue, options)) == 50

    async def is_forgotten() -> bool:
        return not await _kept(queue)

    await until(is_forgotten)  # a pace is forgotten a second after it is whole again


async def test_obliterate_leaves_nothing(queue: Queue, connection: Connection) -> None:
    await queue.groups.set("a", GroupLimits(concurrency=1))
    await queue.add_bulk([_new("a", n) for n in range(3)])
    await _run(queue, WorkerOptions(rate=None, groups=GroupLimits()))
    await queue.add_bulk([_new("b", n) for n in range(3)])
    await queue.obliterate()
    assert await connection.redis.keys(f"{queue.keys.base}*") == []


async def test_a_paused_queue_keeps_groups_waiting_and_wakes_them(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    async def handle(job: Job) -> None: ...

    await queue.pause()
    await queue.add("send", 1, JobOptions(group="a"))
    async with working("q", handle, connection, WorkerOptions(block_ms=60_000), prefix=queue.prefix, probe=probe):
        await queue.resume()
        await probe.seen(JobCompleted)


async def test_drained_is_told_once_no_group_waits(queue: Queue, connection: Connection) -> None:
    await queue.add_bulk([_new("a", 1), _new("b", 2)])
    await _run(queue)
    events = [entry[b"event"] for _, entry in await connection.redis.xrange(queue.keys.events)]
    assert events.count(b"drained") == 1
    assert events[-1] == b"drained"


async def test_a_batch_of_one_group_is_one_run_of_it_in_order(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    batches: list[list[int]] = []
    active = most = 0

    async def handle(jobs: Sequence[Job]) -> None:
        nonlocal active, most
        batches.append([job.data for job in jobs])
        if any(job.group == "a" for job in jobs):
            active += 1
            most = max(most, active)
            await asyncio.sleep(0)
            active -= 1

    await queue.add_bulk([_new("a", n) for n in range(25)] + [_new("b", 100 + n) for n in range(3)])
    options = WorkerOptions(concurrency=4, batch=Batch(size=10), groups=GroupLimits(concurrency=1))
    async with working("q", handle, connection, options, prefix=queue.prefix, probe=probe):  # type: ignore[arg-type]
        await probe.seen(JobCompleted, 28)
    assert most == 1
    assert [n for batch in batches for n in batch if n < 100] == list(range(25))
    assert max(len(batch) for batch in batches) == 10
    assert (await queue.groups.stats("a")).active == 0
    assert not await connection.redis.exists(queue.keys.state("groups:slots"))


async def test_each_job_of_a_batch_pays_the_rate(redis_url: str, prefix: str) -> None:
    clock = MovableClock()
    async with Connection.from_url(redis_url, clock=clock) as connection:
        queue = Queue("q", connection, prefix=prefix)
        await queue.add_bulk([_new("a", n) for n in range(10)])
        sizes: list[int] = []

        async def handle(jobs: Sequence[Job]) -> None:
            sizes.append(len(jobs))

        limits = GroupLimits(concurrency=1, rate=GroupRate(max=1, burst=4))
        await process_all(queue, handle, WorkerOptions(batch=Batch(size=8), groups=limits))
        assert sizes == [4]


async def test_a_worker_that_knows_no_groups_serves_them_all_the_same(queue: Queue) -> None:
    await queue.add_bulk([_new("a", 1), _new("b", 2)])
    assert await _run(queue, WorkerOptions()) == [1, 2]


@pytest.mark.parametrize("group", ["", "x" * 201])
async def test_a_group_without_a_sensible_name_is_refused(queue: Queue, group: str) -> None:
    with pytest.raises(ValueError, match="characters: give 1 to 200"):
        JobOptions(group=group)
    with pytest.raises(ValueError, match="characters: give 1 to 200"):
        await queue.groups.pause(group)


async def test_a_queues_own_rate_and_bound_hold_over_groups(queue: Queue) -> None:
    await queue.add_bulk([_new(f"g{n}", n) for n in range(6)])
    await queue.set_rate(4, 60_000)
    assert len(await _run(queue)) == 4


async def _nothing(job: Job) -> None: ...


async def _kept(queue: Queue) -> list[bytes]:
    """Return the keys of groups, but for what the queue has once: the workers' default, and their bell."""
    keys = await queue.connection.redis.keys(f"{queue.keys.base}groups:*")
    return [key for key in keys if not key.endswith((b":default", b":marker"))]
