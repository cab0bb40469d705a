import asyncio
from collections.abc import Awaitable, Callable

import pytest

from berrante.engine import Deduplication, Job, JobOptions, NewJob, Queue, State, Unrecoverable
from berrante.engine.notices import JobStarted
from berrante.engine.wire.codec import read_options_of
from tests.probes import Probe, working
from tests.waiting import until

LONG_MS = 600_000


def _once(name: str = "x", *, delay_ms: int = 0, priority: int = 0, **said: int | bool) -> JobOptions:
    deduplication = Deduplication(id=name, **said)  # type: ignore[arg-type]
    return JobOptions(delay_ms=delay_ms, priority=priority, deduplication=deduplication)


async def _counts(queue: Queue) -> dict[str, int]:
    return {state.value: count for state, count in (await queue.counts()).items() if count}


async def _work(queue: Queue, handler: Callable[[Job], Awaitable[object]], *, ends: int) -> None:
    async def ended() -> bool:
        counts = await queue.counts()
        return counts[State.COMPLETED] + counts[State.FAILED] >= ends

    async with working(queue.name, handler, queue.connection, prefix=queue.prefix):
        await until(ended)


async def _done(job: Job) -> None:
    return None


async def _fail(job: Job) -> None:
    raise Unrecoverable("no")


async def _left(queue: Queue) -> list[str]:
    """The deduplication keys that stand."""
    pattern = f"{queue.keys.base}d[en]:*"
    return [key.decode().removeprefix(queue.keys.base) async for key in queue.connection.redis.scan_iter(match=pattern)]


@pytest.mark.parametrize("options", [_once(), _once(priority=3), _once(delay_ms=LONG_MS)])
async def test_a_job_is_added_once_whatever_state_it_waits_in(queue: Queue, options: JobOptions) -> None:
    first = await queue.add("a", 1, options)
    again = await queue.add("b", 2, options)
    other = await queue.add("c", 3, _once("other"))
    assert again.id == first.id != other.id
    assert sum((await queue.counts()).values()) == 2
    kept = await queue.get(first.id)
    assert kept is not None
    assert (kept.data, kept.deduplication_id, kept.options) == (1, "x", options)


@pytest.mark.parametrize("handler", [_done, _fail])
async def test_once_it_ended_the_next_is_added(queue: Queue, handler: Callable[[Job], Awaitable[object]]) -> None:
    first = await queue.add("a", 1, _once())
    await _work(queue, handler, ends=1)
    assert await _left(queue) == []
    assert (await queue.add("a", 2, _once())).id != first.id
    assert (await _counts(queue))["waiting"] == 1


async def test_a_job_that_is_removed_makes_room(queue: Queue) -> None:
    first = await queue.add("a", 1, _once())
    assert await queue.remove(first.id)
    assert (await queue.add("a", 2, _once())).id != first.id


async def test_throttled_jobs_are_kept_off_after_the_first_is_done(queue: Queue) -> None:
    first = await queue.add("a", 1, _once(ttl_ms=LONG_MS))
    await _work(queue, _done, ends=1)
    assert (await queue.add("a", 2, _once(ttl_ms=LONG_MS))).id == first.id
    assert await _counts(queue) == {"completed": 1}
    assert await queue.remove_deduplication_key("x")
    assert not await queue.remove_deduplication_key("x")
    assert (await queue.add("a", 3, _once(ttl_ms=LONG_MS))).id != first.id


async def test_a_throttle_ends_by_itself(queue: Queue) -> None:
    options = _once(ttl_ms=50)
    first = await queue.add("a", 1, options)

    async def another() -> bool:
        return (await queue.add("a", 2, options)).id != first.id

    assert await until(another)
    assert await _counts(queue) == {"waiting": 2}


async def test_extend_counts_from_the_last_attempt(queue: Queue) -> None:
    redis = queue.connection.redis
    key = queue.keys.state("de:x")
    await queue.add("a", 1, _once(ttl_ms=LONG_MS))
    await redis.pexpire(key, 5_000)
    await queue.add("a", 2, _once(ttl_ms=LONG_MS))
    assert await redis.pttl(key) <= 5_000
    await queue.add("a", 3, _once(ttl_ms=LONG_MS, extend=True))
    assert await redis.pttl(key) > 5_000


async def test_debounced_jobs_give_way_to_the_last(queue: Queue) -> None:
    options = _once(delay_ms=LONG_MS, ttl_ms=LONG_MS, extend=True, replace=True)
    jobs = [await queue.add("typing", n, options) for n in range(3)]
    assert len({job.id for job in jobs}) == 3
    assert await _counts(queue) == {"delayed": 1}
    assert [await queue.get(job.id) is not None for job in jobs] == [False, False, True]


async def test_what_came_while_it_ran_is_kept_once_and_runs_after_it(queue: Queue, probe: Probe) -> None:
    options = _once(keep_last_if_active=True)
    may_end = asyncio.Event()
    ran: list[object] = []

    async def slow(job: Job) -> None:
        ran.append(job.data)
        await may_end.wait()

    async with working("q", slow, queue.connection, prefix=queue.prefix, probe=probe):
        await queue.add("sync", 1, options)
        await probe.seen(JobStarted)
        for n in (2, 3):
            await queue.add("sync", n, options)
        assert await _counts(queue) == {"active": 1}
        may_end.set()
        await probe.seen(JobStarted, 2)
        await until(lambda: _ended(queue, 2))
    assert ran == [1, 3]
    assert await _left(queue) == []


async def _ended(queue: Queue, n: int) -> bool:
    return (await queue.counts())[State.COMPLETED] == n


async def test_bulk_keeps_its_order_among_jobs_of_both_kinds(queue: Queue) -> None:
    await queue.connection.redis.script_flush()  # what the server does not know must not come later either
    ids = await queue.add_bulk(
        [
            NewJob("a", 0),
            NewJob("b", 1, _once()),
            NewJob("c", 2, _once()),
            NewJob("d", 3),
            NewJob("e", 4, JobOptions(job_id="own")),
            NewJob("f", 5, _once("y")),
            NewJob("g", 6),
        ]
    )
    assert ids[2] == ids[1]
    kept = [job_id for n, job_id in enumerate(ids) if n != 2]
    assert len(set(kept)) == 6
    jobs = await queue.jobs([State.WAITING], oldest_first=True)
    assert [job.id for job in jobs] == kept
    assert [job.data for job in jobs] == [0, 1, 3, 4, 5, 6]


async def test_bulk_of_deduplicated_jobs_alone(queue: Queue) -> None:
    assert len(set(await queue.add_bulk([NewJob("a", 1, _once())]))) == 1
    assert len(set(await queue.add_bulk([NewJob("a", n, _once(f"id-{n % 5}")) for n in range(20)]))) == 5
    assert await _counts(queue) == {"waiting": 6}


async def test_the_queues_defaults_may_deduplicate(queue: Queue, prefix: str) -> None:
    single = Queue("q", queue.connection, prefix=prefix, defaults=_once())
    first = await single.add("a", 1)
    assert await single.add_bulk([NewJob("a", 2), NewJob("a", 3)]) == [first.id, first.id]


async def test_adds_of_one_id_at_once_make_one_job(queue: Queue) -> None:
    jobs = await asyncio.gather(*(queue.add("a", n, _once()) for n in range(20)))
    assert len({job.id for job in jobs}) == 1
    assert await _counts(queue) == {"waiting": 1}


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ({"id": ""}, "id is empty"),
        ({"id": "x", "ttl_ms": 0}, "ttl_ms is 0"),
        ({"id": "x", "extend": True}, "no ttl_ms"),
    ],
)
def test_what_means_nothing_is_refused(said: dict[str, object], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        Deduplication(**said)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wire", "read"),
    [
        ({"id": "x", "ttl": 5.0, "extend": True}, Deduplication(id="x", ttl_ms=5, extend=True)),
        ({"id": "x", "ttl": 0, "extend": True}, Deduplication(id="x")),
        ({"id": "x", "keepLastIfActive": True, "new": 1}, Deduplication(id="x", keep_last_if_active=True)),
        ({"id": ""}, None),
        (None, None),
    ],
)
def test_what_node_may_have_written_is_read(wire: object, read: Deduplication | None) -> None:
    assert read_options_of({"attempts": 1, "de": wire}, job_id="1").deduplication == read


async def test_a_scheduler_takes_no_deduplication(queue: Queue) -> None:
    with pytest.raises(ValueError, match="leave deduplication out"):
        await queue.schedulers.upsert("s", name="tick", every_ms=1_000, options=_once())
    assert await queue.schedulers.list() == []
