"""A job added by one side is done by the other, in the same order, and what came of it is read by both."""

from dataclasses import dataclass
from typing import Any

import pytest

from berrante.engine import Connection, JobOptions, NewJob, Queue, Retention, WorkerOptions
from tests.contract.conftest import Pair
from tests.contract.observing import finished, job
from tests.contract.peer import Peer
from tests.contract.sides import QUEUE, Nodes, Ours, Script, Side

PAYLOADS: list[Any] = [
    {"organizationId": "o1", "content": {"type": "text", "text": "Olá, coração ❤️ 👋🏽"}},
    {"nested": [{"deep": {"er": [1, 2.5, -3, None, True, False, ""]}}], "empty": {}, "list": []},
    {"big": 9_007_199_254_740_991, "quote": '"\\\n\t\u0001', "html": "<&>", "separator": "\u2028"},
    "a bare string",
    [1, 2, 3],
    42,
    0,
    False,
    None,
]


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: str(payload)[:12].encode("ascii", "replace").decode())
async def test_data_and_return_value_arrive_unchanged(pair: Pair, queue: Queue, nodes: Nodes, payload: Any) -> None:
    job_id = await pair.adds.add("echo", payload)
    async with pair.works.work(Script(echo=True)):
        await finished(queue, job_id)
    read, seen_by_node = await job(queue, job_id), await nodes.queue.get(job_id)
    assert seen_by_node is not None
    assert read.data == seen_by_node["data"] == payload
    assert read.return_value == seen_by_node["returnvalue"] == {"data": payload}
    assert await nodes.queue.state(job_id) == "completed"
    assert await pair.adds.states() == await pair.works.states() == {"completed": 1}


async def test_a_handler_that_returns_nothing_returns_null(pair: Pair, queue: Queue, nodes: Nodes) -> None:
    job_id = await pair.adds.add("quiet", {})
    async with pair.works.work(Script(value=None)):
        await finished(queue, job_id)
    assert await queue.connection.redis.hget(queue.keys.job(job_id), "returnvalue") == b"null"
    seen = await nodes.queue.get(job_id)
    assert seen is not None
    assert seen["returnvalue"] is None
    assert (await job(queue, job_id)).return_value is None


async def test_both_sides_read_the_same_of_a_finished_job(pair: Pair, queue: Queue, nodes: Nodes) -> None:
    job_id = await pair.adds.add("order", {"n": 1}, JobOptions(attempts=3, job_id="order-1", keep_logs=5))
    async with pair.works.work(Script(value=7, progress=({"done": 50},)), WorkerOptions(name="worker-1")):
        await finished(queue, job_id)
    read, seen = await job(queue, job_id), await nodes.queue.get(job_id)
    assert seen is not None
    assert seen["processedBy"] == read.processed_by == "worker-1"
    assert seen["attemptsMade"] == read.attempts_made == 1
    assert seen["attemptsStarted"] == read.attempts_started == 1
    assert seen["stalledCounter"] == read.stalled_count == 0
    assert seen["timestamp"] == read.timestamp_ms
    assert seen["processedOn"] == read.processed_on_ms
    assert seen["finishedOn"] == read.finished_on_ms
    assert read.timestamp_ms <= (read.processed_on_ms or 0) <= (read.finished_on_ms or 0)
    assert seen["progress"] == read.progress == {"done": 50}
    assert seen["opts"]["attempts"] == read.options.attempts == 3
    assert seen["opts"]["keepLogs"] == read.options.keep_logs == 5
    assert seen["delay"] == read.delay_ms == 0
    assert seen["priority"] == read.priority == 0
    assert seen["failedReason"] is None
    assert read.failed_reason is None


async def test_jobs_run_in_the_order_in_which_they_were_added(pair: Pair, queue: Queue) -> None:
    ids = await pair.adds.add_bulk([NewJob("step", n) for n in range(20)])
    async with pair.works.work(Script()) as worker:
        await finished(queue, *ids)
    assert [run.job_id for run in worker.runs.items] == ids


async def test_a_lifo_job_runs_first(pair: Pair, queue: Queue) -> None:
    first, second = await pair.adds.add("a"), await pair.adds.add("b")
    urgent = await pair.adds.add("c", None, JobOptions(lifo=True))
    async with pair.works.work(Script()) as worker:
        await finished(queue, first, second, urgent)
    assert [run.job_id for run in worker.runs.items] == [urgent, first, second]


async def test_priorities_run_after_plain_jobs_lowest_number_first_and_in_order_within(
    pair: Pair, queue: Queue
) -> None:
    wanted = [5, 1, 3, 1, 0, 2_097_151, 3, 0]
    ids = await pair.adds.add_bulk([NewJob("p", n, JobOptions(priority=priority)) for n, priority in enumerate(wanted)])
    assert await pair.works.states() == {"waiting": 2, "prioritized": 6}
    async with pair.works.work(Script()) as worker:
        await finished(queue, *ids)
    ran = [run.job_id for run in worker.runs.items]
    assert ran == [ids[n] for n in (4, 7, 1, 3, 2, 6, 0, 5)]
    # With nothing prioritized left, the counter of ties is dropped: else it would grow for ever.
    assert not await queue.connection.redis.exists(queue.keys.pc)


async def test_both_sides_count_in_one_order_of_priorities(ours: Ours, nodes: Nodes, queue: Queue) -> None:
    sides: list[Side] = [ours, nodes] * 4
    ids = [await side.add("p", n, JobOptions(priority=2)) for n, side in enumerate(sides)]
    async with ours.work(Script()) as worker:
        await finished(queue, *ids)
    assert [run.job_id for run in worker.runs.items] == ids


async def test_ids_are_one_sequence_for_both_sides(ours: Ours, nodes: Nodes) -> None:
    ids = [await side.add("n") for side in (ours, nodes, ours, nodes)]
    bulk = await ours.add_bulk([NewJob("n", 1), NewJob("n", 2)])
    assert [*ids, *bulk, await nodes.add("n")] == ["1", "2", "3", "4", "5", "6", "7"]


@pytest.mark.parametrize("second", ["python", "node"])
async def test_an_id_that_is_there_is_not_added_again(
    side: Side, second: str, ours: Ours, nodes: Nodes, queue: Queue, peer: Peer, prefix: str
) -> None:
    other: Side = ours if second == "python" else nodes
    events = await peer.events(QUEUE, prefix=prefix)
    assert await side.add("mine", {"by": side.name}, JobOptions(job_id="one")) == "one"
    assert await other.add("yours", {"by": "the other"}, JobOptions(job_id="one", priority=3)) == "one"
    assert (await events.first("duplicated")).fields == {"jobId": "one"}
    assert await queue.connection.redis.lrange(queue.keys.wait, 0, -1) == [b"one"]
    read = await job(queue, "one")
    assert (read.name, read.data, read.priority) == ("mine", {"by": side.name}, 0)


async def test_a_finished_job_still_holds_its_id(pair: Pair, queue: Queue) -> None:
    await pair.adds.add("once", None, JobOptions(job_id="once-1"))
    async with pair.works.work(Script(value=1)) as worker:
        await finished(queue, "once-1")
        await pair.works.add("again", None, JobOptions(job_id="once-1"))
        last = await pair.adds.add("last")
        await finished(queue, last)
    assert [run.job_id for run in worker.runs.items] == ["once-1", last]


async def test_a_delayed_job_runs_at_its_time(pair: Pair, queue: Queue) -> None:
    async with pair.works.work(Script()):
        job_id = await pair.adds.add("later", None, JobOptions(delay_ms=400))
        await finished(queue, job_id)
    done = await job(queue, job_id)
    assert done.options.delay_ms == 400
    assert done.delay_ms == 0
    waited = (done.processed_on_ms or 0) - done.timestamp_ms
    assert 400 <= waited < 2_500, f"ran after {waited} ms: not by its marker, but by the 5 s poll"


async def test_delayed_jobs_run_by_time_then_in_the_order_of_adding(pair: Pair, queue: Queue) -> None:
    ids = [
        await pair.adds.add("later", n, JobOptions(delay_ms=delay, priority=priority))
        for n, (delay, priority) in enumerate([(300, 0), (100, 0), (100, 0), (100, 4), (100, 2)])
    ]
    assert await pair.works.states() == {"delayed": 5}
    async with pair.works.work(Script()) as worker:
        await finished(queue, *ids)
    ran = [run.job_id for run in worker.runs.items]
    # The prioritized ones come in between, where depends on when the worker looks.
    assert [job_id for job_id in ran if job_id in ids[:3]] == [ids[1], ids[2], ids[0]]
    assert sorted(ran) == sorted(ids)


@dataclass(frozen=True, slots=True)
class Kept:
    """A retention, and which of five completed jobs are left."""

    retention: Retention | None
    left: list[str]


@pytest.mark.parametrize(
    "kept",
    [
        Kept(None, ["j0", "j1", "j2", "j3", "j4"]),
        Kept(Retention.everything(), ["j0", "j1", "j2", "j3", "j4"]),
        Kept(Retention(count=2), ["j3", "j4"]),
        Kept(Retention(age_s=3_600), ["j0", "j1", "j2", "j3", "j4"]),
        Kept(Retention(age_s=3_600, count=1), ["j4"]),
        Kept(Retention.nothing(), []),
    ],
    ids=str,
)
@pytest.mark.parametrize("said_by", ["job", "worker"])
async def test_finished_jobs_are_kept_as_was_said(pair: Pair, queue: Queue, kept: Kept, said_by: str) -> None:
    of_job = kept.retention if said_by == "job" else None
    of_worker = kept.retention if said_by == "worker" else None
    ids = [await pair.adds.add("k", n, JobOptions(job_id=f"j{n}", keep_completed=of_job)) for n in range(5)]
    async with pair.works.work(Script(), WorkerOptions(keep_completed=of_worker or Retention.everything())):
        await finished(queue, *ids)
    completed = await queue.connection.redis.zrange(queue.keys.state("completed"), 0, -1)
    assert completed == [job_id.encode() for job_id in kept.left]
    assert [n for n in ids if await queue.get(n)] == kept.left


async def test_what_a_job_says_of_retention_outweighs_what_the_worker_says(pair: Pair, queue: Queue) -> None:
    ids = [
        await pair.adds.add("k", None, JobOptions(job_id="kept", keep_completed=Retention(count=9))),
        await pair.adds.add("k", None, JobOptions(job_id="gone")),
    ]
    async with pair.works.work(Script(), WorkerOptions(keep_completed=Retention.nothing())):
        await finished(queue, *ids)
    assert await queue.get("kept")
    assert await queue.get("gone") is None


async def test_logs_are_read_by_both_sides_and_the_last_are_kept(
    pair: Pair, queue: Queue, nodes: Nodes, connection: Connection
) -> None:
    kept = await pair.adds.add("talks", None, JobOptions(keep_logs=2))
    all_kept = await pair.adds.add("talks")
    async with pair.works.work(Script(logs=("one", "two", "três"))):
        await finished(queue, kept, all_kept)
    assert await nodes.queue.call("getJobLogs", kept) == {"logs": ["two", "três"], "count": 2}
    assert await nodes.queue.call("getJobLogs", all_kept) == {"logs": ["one", "two", "três"], "count": 3}
    assert await connection.redis.lrange(queue.keys.logs(kept), 0, -1) == [b"two", "três".encode()]
