"""Failures, retries, stalls and dead letters look the same whoever ran the job."""

import json

import pytest

from berrante.engine import Backoff, Connection, DeadLetters, JobOptions, Queue, Retention, WorkerOptions
from tests.contract.conftest import Pair
from tests.contract.observing import finished, idle, job
from tests.contract.peer import Peer, PeerError
from tests.contract.sides import QUEUE, Nodes, Ours, Script, Side


async def test_a_retry_with_exponential_backoff_leaves_the_same_fields(
    pair: Pair, queue: Queue, nodes: Nodes, peer: Peer, prefix: str
) -> None:
    events = await peer.events(QUEUE, prefix=prefix)
    job_id = await pair.adds.add("flaky", {"n": 1}, JobOptions(attempts=4, backoff=Backoff.exponential(400)))
    async with pair.works.work(Script(fail="the sky fell", fail_times=2, value="at last")) as worker:
        await finished(queue, job_id)
    read, seen = await job(queue, job_id), await nodes.queue.get(job_id)
    assert seen is not None
    assert [(run.attempt, run.started) for run in worker.runs.items] == [(1, 1), (2, 2), (3, 3)]
    assert read.attempts_made == seen["attemptsMade"] == 3
    assert read.attempts_started == seen["attemptsStarted"] == 3
    assert read.failed_reason == seen["failedReason"] == "the sky fell"
    assert len(read.stacktrace) == 2
    assert read.stacktrace == seen["stacktrace"]
    assert all("the sky fell" in trace for trace in read.stacktrace)
    assert read.return_value == seen["returnvalue"] == "at last"
    await events.first("completed", job_id=job_id)
    # The event's delay is the time at which the job is due; the event itself may come a moment after it was counted.
    due = [int(event.fields["delay"]) for event in events.seen.items if event.name == "delayed"]
    at = [int(event.at.split("-")[0]) for event in events.seen.items if event.name == "delayed"]
    assert [round((due_ms - at_ms) / 400) for due_ms, at_ms in zip(due, at, strict=True)] == [1, 2]


async def test_a_job_whose_attempts_are_exhausted_is_failed_for_both(
    pair: Pair, queue: Queue, nodes: Nodes, peer: Peer, prefix: str
) -> None:
    events = await peer.events(QUEUE, prefix=prefix)
    job_id = await pair.adds.add("hopeless", {}, JobOptions(attempts=3))
    async with pair.works.work(Script(fail="não deu ❌", fail_times=99)):
        await finished(queue, job_id)
    read, seen = await job(queue, job_id), await nodes.queue.get(job_id)
    assert seen is not None
    assert await nodes.queue.state(job_id) == "failed"
    assert await pair.adds.states() == {"failed": 1}
    assert read.attempts_made == seen["attemptsMade"] == 3
    assert read.failed_reason == seen["failedReason"] == "não deu ❌"
    assert len(read.stacktrace) == len(seen["stacktrace"]) == 3
    assert read.finished_on_ms == seen["finishedOn"]
    assert seen["returnvalue"] is None
    failed = await events.first("failed", job_id=job_id)
    assert failed.fields == {"jobId": job_id, "failedReason": "não deu ❌", "prev": "active"}
    exhausted = await events.first("retries-exhausted")
    assert exhausted.fields == {"jobId": job_id, "attemptsMade": "3"}
    with pytest.raises(PeerError, match="não deu ❌"):
        await events.finished(nodes.queue, job_id)


async def test_retries_without_backoff_go_behind_those_that_wait(pair: Pair, queue: Queue) -> None:
    flaky = await pair.adds.add("flaky", None, JobOptions(attempts=2))
    plain = await pair.adds.add("plain")
    async with pair.works.work({"flaky": Script(fail="once", fail_times=1), "*": Script()}) as worker:
        await finished(queue, flaky, plain)
    assert [run.job_id for run in worker.runs.items] == [flaky, plain, flaky]


async def test_a_prioritized_job_keeps_its_priority_through_a_retry(pair: Pair, queue: Queue) -> None:
    flaky = await pair.adds.add("flaky", None, JobOptions(attempts=3, priority=2, backoff=Backoff.fixed(20)))
    async with pair.works.work(Script(fail="once", fail_times=2)):
        await finished(queue, flaky)
    read = await job(queue, flaky)
    assert (read.priority, read.delay_ms, read.attempts_made) == (2, 0, 3)


@pytest.mark.parametrize(("limit", "kept"), [(0, 0), (1, 1), (2, 2), (None, 3)])
async def test_stack_traces_are_bounded_as_the_job_says(pair: Pair, queue: Queue, limit: int | None, kept: int) -> None:
    job_id = await pair.adds.add("flaky", None, JobOptions(attempts=3, stack_trace_limit=limit))
    async with pair.works.work(Script(fail="boom", fail_times=3)):
        await finished(queue, job_id)
    assert len((await job(queue, job_id)).stacktrace) == kept


async def test_an_unrecoverable_failure_is_final_at_once(pair: Pair, queue: Queue, nodes: Nodes) -> None:
    job_id = await pair.adds.add("bad", {}, JobOptions(attempts=5, backoff=Backoff.fixed(10)))
    async with pair.works.work(Script(unrecoverable="no such instance: 'x1'")):
        await finished(queue, job_id)
    read, seen = await job(queue, job_id), await nodes.queue.get(job_id)
    assert seen is not None
    assert read.attempts_made == seen["attemptsMade"] == 1
    assert read.failed_reason == seen["failedReason"] == "no such instance: 'x1'"
    assert await nodes.queue.state(job_id) == "failed"


async def test_failed_jobs_are_kept_as_was_said(pair: Pair, queue: Queue) -> None:
    ids = [await pair.adds.add("f", n, JobOptions(job_id=f"j{n}", keep_failed=Retention(count=2))) for n in range(4)]
    async with pair.works.work(Script(fail="boom", fail_times=9)):
        await finished(queue, *ids)
    assert [job_id for job_id in ids if await queue.get(job_id)] == ["j2", "j3"]


async def test_a_snoozed_job_runs_again_uncharged(pair: Pair, queue: Queue, nodes: Nodes) -> None:
    job_id = await pair.adds.add("wait", {}, JobOptions(attempts=1))
    async with pair.works.work(Script(snooze_ms=50, value="done")) as worker:
        await finished(queue, job_id)
    seen = await nodes.queue.get(job_id)
    assert seen is not None
    assert [(run.attempt, run.started) for run in worker.runs.items] == [(1, 1), (1, 2)]
    assert (seen["attemptsMade"], seen["attemptsStarted"], seen["returnvalue"]) == (1, 2, "done")


@pytest.mark.parametrize("survivor", ["python", "node"])
async def test_a_job_of_a_silent_worker_is_taken_over_by_the_other(
    survivor: str, ours: Ours, nodes: Nodes, queue: Queue, peer: Peer, prefix: str, connection: Connection
) -> None:
    side: Side = ours if survivor == "python" else nodes
    events = await peer.events(QUEUE, prefix=prefix)
    job_id = await ours.add("orphan", {})
    await _abandon(connection, queue, job_id)
    options = WorkerOptions(name="rescuer", stalled_interval_ms=100, lock_ms=5_000)
    async with side.work(Script(value="rescued"), options):
        await finished(queue, job_id)
    assert (await events.first("stalled")).fields == {"jobId": job_id}
    await events.first("completed", job_id=job_id)
    names = events.names(job_id)
    assert names[names.index("stalled") - 1 :] == ["waiting", "stalled", "active", "completed"]
    seen = await nodes.queue.get(job_id)
    assert seen is not None
    assert (seen["stalledCounter"], seen["attemptsMade"], seen["attemptsStarted"]) == (1, 1, 2)
    assert seen["processedBy"] == "rescuer"


@pytest.mark.parametrize("survivor", ["python", "node"])
async def test_a_job_that_stalled_too_often_is_failed_by_whoever_takes_it(
    survivor: str, ours: Ours, nodes: Nodes, queue: Queue, connection: Connection
) -> None:
    side: Side = ours if survivor == "python" else nodes
    job_id = await ours.add("orphan", {}, JobOptions(attempts=5))
    await _abandon(connection, queue, job_id)
    options = WorkerOptions(stalled_interval_ms=100, max_stalled=0)
    async with side.work(Script(value="never"), options) as worker:
        await finished(queue, job_id)
    read, seen = await job(queue, job_id), await nodes.queue.get(job_id)
    assert seen is not None
    assert worker.runs.items == []
    assert read.failed_reason == seen["failedReason"] == "job stalled more than allowable limit"
    assert read.deferred_failure is None
    assert await nodes.queue.state(job_id) == "failed"


async def _abandon(connection: Connection, queue: Queue, job_id: str) -> None:
    """Leave a job active without a lock, as a killed worker does once its lock has expired."""
    dead = Ours(connection, queue.prefix)
    async with dead.work(Script(hold=True), WorkerOptions(name="dead")) as worker:
        await worker.runs.first(lambda run: run.job_id == job_id)
        await connection.redis.delete(queue.keys.job(job_id) + ":lock")
    assert await connection.redis.lrange(queue.keys.active, 0, -1) == [job_id.encode()]


@pytest.mark.parametrize("adder", ["python", "node"])
async def test_a_dead_letter_is_an_ordinary_job_to_node(
    adder: str, ours: Ours, nodes: Nodes, queue: Queue, peer: Peer, prefix: str, connection: Connection
) -> None:
    side: Side = ours if adder == "python" else nodes
    options = JobOptions(attempts=2, job_id="o-1", priority=3, backoff=Backoff.fixed(1))
    await side.add("charge", {"amount": 12.5, "who": "Zé"}, options)
    script = Script(fail="card refused", fail_times=9)
    async with ours.work(script, WorkerOptions(name="ours-1", dead_letters="dead-letter")):
        await finished(queue, "o-1")
    letters = peer.queue("dead-letter", prefix=prefix)
    assert await letters.counts() | {"waiting": 1} == await letters.counts()
    (letter,) = await letters.call("getJobs", ["waiting"])
    origin = letter["data"]
    assert letter["name"] == "charge"
    assert origin["data"] == {"amount": 12.5, "who": "Zé"}
    assert (origin["queue"], origin["jobId"], origin["attemptsMade"]) == (QUEUE, "o-1", 2)
    assert origin["failedReason"] == "card refused"
    assert len(origin["stacktrace"]) == 2
    assert (origin["opts"]["attempts"], origin["opts"]["priority"]) == (2, 3)
    failed = await nodes.queue.get("o-1")
    assert failed is not None
    assert 0 <= failed["finishedOn"] - origin["failedAt"] < 1_000
    assert origin["timestamp"] == failed["timestamp"]
    # Put back by us, done by Node.
    again = await DeadLetters(connection, prefix=prefix).retry(letter["id"])
    async with nodes.work(Script(echo=True)):
        await finished(queue, again.id)
    done = await nodes.queue.get(again.id)
    assert done is not None
    assert done["returnvalue"] == {"data": {"amount": 12.5, "who": "Zé"}}
    assert (done["opts"]["attempts"], done["opts"]["priority"]) == (2, 3)
    assert await letters.call("getJobCountByTypes", "waiting") == 0


async def test_node_can_work_on_the_dead_letter_queue(
    ours: Ours, queue: Queue, peer: Peer, prefix: str, connection: Connection
) -> None:
    await ours.add("bad", {"n": 1}, JobOptions(job_id="b-1"))
    async with ours.work(Script(unrecoverable="no"), WorkerOptions(dead_letters="dead-letter")):
        await finished(queue, "b-1")
    reader = await peer.worker(
        "dead-letter", prefix=prefix, scripts={"*": {"echo": True}}, options={"name": "undertaker"}
    )
    letters = DeadLetters(connection, prefix=prefix)
    try:
        run = await reader.runs.first(lambda run: run.name == "bad")
        await finished(letters.queue, run.job_id)
        await idle(connection, "undertaker")
    finally:
        await reader.stop()
    letter = await letters.get(run.job_id)
    assert letter is not None
    assert letter.return_value["data"]["jobId"] == "b-1"
    assert await letters.count() == 0


async def test_data_that_is_not_json_fails_alone_and_is_buried_as_it_stands(
    ours: Ours, nodes: Nodes, queue: Queue, connection: Connection, peer: Peer, prefix: str
) -> None:
    bad, good = await ours.add("bad", {}), await ours.add("good", {})
    await connection.redis.hset(queue.keys.job(bad), "data", "{broken")
    async with ours.work(Script(value=1), WorkerOptions(dead_letters="dead-letter", concurrency=2)):
        await finished(queue, bad, good)
    assert await nodes.queue.state(bad) == "failed"
    assert await nodes.queue.state(good) == "completed"
    (letter,) = await peer.queue("dead-letter", prefix=prefix).call("getJobs", ["waiting"])
    assert letter["data"]["data"] == "{broken"
    assert json.dumps(letter["data"]["failedReason"]).find("unreadable data") > 0
