"""A scheduler made on one side is read, run and removed by the other."""

import itertools
from functools import partial
from typing import Any

import pytest

from berrante.engine import JobOptions, Queue, State, WorkerOptions
from tests.contract.history import dump
from tests.contract.observing import finished, idle, job, until
from tests.contract.peer import Json, Peer
from tests.contract.sides import Nodes, Ours, Script, Side

DATA = {"instanceId": "i1", "n": [1, 2]}


async def _upsert(side: Side, scheduler_id: str, *, every_ms: int = 0, cron: str = "", tz: str = "") -> None:
    if isinstance(side, Ours):
        await side.queue.schedulers.upsert(
            scheduler_id,
            name="tick",
            every_ms=every_ms or None,
            cron=cron or None,
            tz=tz or None,
            data=DATA,
            options=JobOptions(attempts=3, priority=2),
        )
        return
    assert isinstance(side, Nodes)
    said = {"every": every_ms, "pattern": cron, "tz": tz}
    template = {"name": "tick", "data": DATA, "opts": {"attempts": 3, "priority": 2}}
    repeat = {name: value for name, value in said.items() if value}
    await side.queue.call("upsertJobScheduler", scheduler_id, repeat, template)


async def _remove(side: Side, scheduler_id: str) -> bool:
    if isinstance(side, Ours):
        return await side.queue.schedulers.remove(scheduler_id)
    assert isinstance(side, Nodes)
    return bool(await side.queue.call("removeJobScheduler", scheduler_id))


@pytest.mark.parametrize("runner", ["python", "node"])
@pytest.mark.parametrize("schedule", [{"every_ms": 150}, {"cron": "* * * * * *"}], ids=["every", "cron"])
async def test_a_scheduler_goes_on_as_long_as_either_side_works(
    side: Side, runner: str, schedule: dict[str, Any], ours: Ours, nodes: Nodes, queue: Queue
) -> None:
    works: Side = ours if runner == "python" else nodes
    await _upsert(side, "beat", **schedule)
    async with works.work(Script(echo=True), WorkerOptions(block_ms=60_000)) as worker:
        runs = list(await worker.runs.wait(lambda runs: len(runs) >= 3))
        ids = [run.job_id for run in runs[:3]]
        await finished(queue, *ids)
    due = [int(job_id.removeprefix("repeat:beat:")) for job_id in ids]
    step = schedule.get("every_ms", 1_000)
    steps = [later - earlier for earlier, later in itertools.pairwise(due)]
    # A machine that is too busy skips a beat, and keeps the time.
    assert all(passed > 0 and passed % step == 0 for passed in steps), steps
    for job_id, due_ms in zip(ids, due, strict=True):
        done = await job(queue, job_id)
        assert (done.name, done.data, done.return_value) == ("tick", DATA, {"data": DATA})
        assert (done.options.attempts, done.options.priority, done.scheduler_id) == (3, 2, "beat")
        assert (done.processed_on_ms or 0) >= due_ms
    # One job ahead, never two.
    assert len(await queue.jobs([State.DELAYED, State.WAITING, State.PRIORITIZED, State.ACTIVE])) == 1
    assert await _remove(works, "beat")
    assert await works.states() == {"completed": len(worker.runs.items)}


async def test_both_take_turns_on_one_scheduler(ours: Ours, nodes: Nodes, queue: Queue) -> None:
    # A worker is to be gone before the next beat: one that Node takes as it is stopped stalls for as long as its lock.
    await _upsert(nodes, "beat", every_ms=1_000)
    ran = []
    for works in (ours, nodes, ours, nodes):
        async with works.work(Script()) as worker:
            ran.append((await worker.runs.wait(bool))[0].job_id)
            await finished(queue, ran[-1])
    assert len(set(ran)) == 4
    (scheduler,) = await queue.schedulers.list()
    assert scheduler.iterations >= 5


async def test_both_read_the_same_of_a_scheduler(side: Side, queue: Queue, nodes: Nodes) -> None:
    await _upsert(side, "hourly", every_ms=3_600_000)
    await _upsert(side, "morning", cron="0 9 * * 1-5", tz="America/Sao_Paulo")
    theirs = {scheduler["key"]: scheduler for scheduler in await nodes.queue.call("getJobSchedulers", 0, -1, True)}
    mine = {scheduler.id: scheduler for scheduler in await queue.schedulers.list()}
    assert set(mine) == set(theirs) == {"hourly", "morning"}
    for scheduler_id, read in mine.items():
        seen = theirs[scheduler_id]
        assert (read.name, read.next_ms, read.iterations) == (seen["name"], seen["next"], seen["iterationCount"])
        assert (read.every_ms, read.cron, read.tz) == (seen.get("every"), seen.get("pattern"), seen.get("tz"))
        assert read.data == seen["template"]["data"] == DATA
        assert seen["template"]["opts"] == {"attempts": 3, "priority": 2}


async def test_a_scheduler_that_is_upserted_again_keeps_one_next_job(side: Side, ours: Ours, queue: Queue) -> None:
    await _upsert(side, "beat", cron="0 0 1 1 *")
    await _upsert(ours, "beat", cron="0 0 2 1 *")
    await _upsert(side, "beat", cron="0 0 3 1 *")
    (scheduler,) = await queue.schedulers.list()
    assert scheduler.cron == "0 0 3 1 *"
    (ahead,) = await queue.jobs([State.DELAYED])
    assert ahead.id == f"repeat:beat:{scheduler.next_ms}"


@pytest.mark.parametrize("remover", ["python", "node"])
async def test_a_removed_scheduler_leaves_no_job(
    side: Side, remover: str, ours: Ours, nodes: Nodes, queue: Queue
) -> None:
    await _upsert(side, "beat", cron="0 0 1 1 *")
    other: Side = ours if remover == "python" else nodes
    assert await _remove(other, "beat")
    assert not await _remove(other, "beat")
    assert await queue.schedulers.list() == []
    assert await other.states() == {}


@pytest.mark.parametrize("schedule", [{"every_ms": 3_600_000}, {"cron": "0 0 1 1 *"}], ids=["every", "cron"])
async def test_a_scheduler_leaves_the_same_keys(schedule: dict[str, Any], peer: Peer, ours: Ours, prefix: str) -> None:
    left: list[dict[str, Json]] = []
    for side in (Nodes(peer, prefix + "n"), Ours(ours.queue.connection, prefix + "p")):
        queue = Ours(ours.queue.connection, side.queue.prefix).queue
        await _upsert(side, "beat", **schedule)
        if "every_ms" in schedule:  # the first comes at once: let it bring forth the second
            async with side.work(Script(value=1), WorkerOptions(name="w")):
                await until(partial(_has_run, queue))
                await idle(queue.connection, "w")
        keys = await dump(queue.connection, queue)
        keys["meta"].pop("version", None)
        for hash_ in keys.values():
            if isinstance(hash_, dict) and isinstance(opts := hash_.get("opts"), dict):
                # Distances from now, to the millisecond.
                hash_["delay"] = opts["delay"] = hash_["offset"] = "(distance)"
                if "every_ms" in schedule:
                    opts.pop("prevMillis", None)  # Node says it for patterns only; nobody reads it of an interval
        left.append(keys)
    theirs, mine = left
    assert sorted(mine) == sorted(theirs)
    for key, value in theirs.items():
        assert mine[key] == value, key


async def _has_run(queue: Queue) -> bool:
    counts = await queue.counts()
    return counts[State.COMPLETED] == 1 and counts[State.DELAYED] == 1


PATTERNS = [
    ("0 9 * * *", "America/Sao_Paulo"),
    ("30 23 * * *", "Asia/Kolkata"),
    ("15 3 * * 1-5", "Europe/London"),
    ("0 12 * * 0", ""),
    ("0 12 * * 7", ""),
    ("0 12 * * SUN", "America/New_York"),
    ("5 4 1 JAN,JUL *", ""),
    ("0 0 29 2 *", ""),
    ("0 0 31 * *", "Pacific/Auckland"),
    ("30 6 13 * 5", ""),  # day of month or day of week: either
    ("0 8 */10 * *", "Asia/Tokyo"),
    ("15 30 10 1 * *", ""),  # six fields: seconds first
    ("0 0 1-7 */3 *", "America/Bogota"),
    ("0 7 L * *", ""),
    ("0 7 * * 1#2", "Europe/Lisbon"),
    ("@daily", "America/Sao_Paulo"),
    ("@monthly", ""),
]


@pytest.mark.parametrize(("cron", "tz"), PATTERNS, ids=str)
async def test_a_pattern_comes_round_at_the_same_moment(
    cron: str, tz: str, peer: Peer, ours: Ours, prefix: str
) -> None:
    moments = []
    for side in (Nodes(peer, prefix + "n"), Ours(ours.queue.connection, prefix + "p")):
        await _upsert(side, "s", cron=cron, tz=tz)
        queue = Ours(ours.queue.connection, side.queue.prefix).queue
        (scheduler,) = await queue.schedulers.list()
        moments.append(scheduler.next_ms)
    theirs, mine = moments
    assert mine == theirs
