"""Workers of both sides on one queue: they see each other, wake each other, and share the work without overlap."""

import asyncio
import os
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial

from berrante.engine import JobOptions, NewJob, Queue, Retention, State, Worker, WorkerOptions
from tests.contract.conftest import Pair
from tests.contract.observing import finished, idle, job, until
from tests.contract.peer import Peer
from tests.contract.sides import QUEUE, Nodes, Ours, Script, Side

#: How many jobs both sides work on at once; ``BERRANTE_CONTRACT_JOBS`` makes it shorter or longer.
JOBS = int(os.environ.get("BERRANTE_CONTRACT_JOBS", "10000"))

#: Longer than any test waits: a worker that starts a job was woken, and did not merely look.
FOREVER_MS = 60_000


async def test_workers_are_listed_by_name_on_both_sides(ours: Ours, nodes: Nodes, queue: Queue) -> None:
    async with (
        ours.work(Script(), WorkerOptions(name="ours-eins")),
        ours.work(Script(), WorkerOptions(name="ours-zwei")),
        nodes.work(Script(), WorkerOptions(name="nodes-drei")),
    ):
        await idle(queue.connection, "ours-eins", "ours-zwei", "nodes-drei")
        names = ["nodes-drei", "ours-eins", "ours-zwei"]
        assert sorted(await nodes.workers()) == names
        assert sorted(await ours.workers()) == names
        assert await nodes.queue.call("getWorkersCount") == 3
    await until(lambda: _nobody(ours))
    assert await nodes.workers() == []


async def _nobody(side: Side) -> bool:
    return await side.workers() == []


async def test_an_unnamed_node_worker_is_listed_too(ours: Ours, queue: Queue, peer: Peer, prefix: str) -> None:
    worker = await peer.worker(QUEUE, prefix=prefix, scripts={}, options={})
    (listed,) = await queue.workers()
    assert listed.name is None
    await worker.stop()


async def test_node_does_not_take_workers_of_other_queues_for_ours(nodes: Nodes, queue: Queue, prefix: str) -> None:
    async def nothing(_: object) -> None:
        return None

    others = [
        Worker(QUEUE + "-2", nothing, queue.connection, WorkerOptions(name="a"), prefix=prefix),
        Worker(QUEUE, nothing, queue.connection, WorkerOptions(name="b"), prefix=prefix + "x"),
    ]
    tasks = [asyncio.create_task(worker.run()) for worker in others]
    await idle(queue.connection, "a", "b")
    assert await nodes.workers() == []
    for worker, task in zip(others, tasks, strict=True):
        await worker.stop()
        await task


async def test_an_added_job_wakes_an_idle_worker(pair: Pair, queue: Queue) -> None:
    async with pair.works.work(Script(), WorkerOptions(block_ms=FOREVER_MS)):
        for options in (JobOptions(), JobOptions(priority=5), JobOptions(lifo=True), JobOptions(delay_ms=150)):
            await idle(queue.connection, pair.works.worker_name)
            job_id = await pair.adds.add("wake", None, options)
            await finished(queue, job_id)


async def test_a_nearer_delay_wakes_a_worker_that_waits_for_a_farther_one(pair: Pair, queue: Queue) -> None:
    async with pair.works.work(Script(), WorkerOptions(block_ms=FOREVER_MS)) as worker:
        await pair.adds.add("far", None, JobOptions(delay_ms=3_600_000))
        await idle(queue.connection, pair.works.worker_name)
        near = await pair.adds.add("near", None, JobOptions(delay_ms=200))
        await finished(queue, near)
    assert [run.job_id for run in worker.runs.items] == [near]
    done = await job(queue, near)
    assert (done.processed_on_ms or 0) - done.timestamp_ms >= 200


async def test_bulk_wakes_all_that_are_needed(ours: Ours, nodes: Nodes, queue: Queue) -> None:
    options = WorkerOptions(concurrency=1, block_ms=FOREVER_MS)
    for adder in (ours, nodes):
        async with ours.work(Script(hold=True), options) as mine, nodes.work(Script(hold=True), options) as theirs:
            await idle(queue.connection, ours.worker_name, nodes.worker_name)
            ids = await adder.add_bulk([NewJob("n", n) for n in range(2)])
            await mine.runs.wait(bool)
            await theirs.runs.wait(bool)
            await mine.release()
            await theirs.release()
            await finished(queue, *ids)


async def test_a_worker_that_stops_leaves_its_job_to_the_other(ours: Ours, nodes: Nodes, queue: Queue) -> None:
    job_id = await nodes.add("held", {}, JobOptions(attempts=1))
    async with nodes.work({"never": Script()}, WorkerOptions(block_ms=FOREVER_MS)) as node:
        await finished(queue, job_id)
        held = await nodes.add("held")
        await finished(queue, held)
        assert len(node.runs.items) == 2
    async with ours.work(Script(hold=True)) as worker:
        last = await nodes.add("held")
        await worker.runs.wait(bool)
    read = await job(queue, last)
    assert await queue.state(last) is State.WAITING
    assert (read.attempts_made, read.attempts_started) == (0, 1)
    async with nodes.work(Script(value="by node"), WorkerOptions(block_ms=FOREVER_MS)):
        await finished(queue, last)
    assert (await job(queue, last)).return_value == "by node"


async def test_both_at_once_do_each_job_exactly_once(ours: Ours, nodes: Nodes, queue: Queue) -> None:
    options = WorkerOptions(concurrency=20, keep_completed=Retention.everything())
    async with ours.work(Script(echo=True), options) as mine, nodes.work(Script(echo=True), options) as theirs:
        await idle(queue.connection, ours.worker_name, nodes.worker_name)
        half = JOBS // 2
        first, second = await asyncio.gather(
            ours.add_bulk([NewJob("n", n, JobOptions(priority=n % 3)) for n in range(half)]),
            nodes.add_bulk([NewJob("n", n, JobOptions(priority=n % 3)) for n in range(half, JOBS)]),
        )
        ids = [*first, *second]

        async def all_completed() -> bool:  # by their number: the event stream forgets all but the last 10,000
            told = sum(len(worker.runs.items) for worker in (mine, theirs))  # node's tale comes a moment after
            return told >= JOBS and (await queue.counts())[State.COMPLETED] == JOBS

        await until(all_completed, timeout_s=30 + JOBS / 100)
        ran = Counter(run.job_id for worker in (mine, theirs) for run in worker.runs.items)
        shares = [len(worker.runs.items) for worker in (mine, theirs)]
    assert ran == Counter(ids)
    assert all(shares), f"one did nothing: {shares}"
    assert await nodes.states() == {"completed": JOBS}
    redis = queue.connection.redis
    assert [key async for key in redis.scan_iter(match=queue.keys.base + "*:lock", count=1_000)] == []
    for n, job_id in enumerate(ids):
        done = await job(queue, job_id)
        assert (done.return_value, done.attempts_started, done.attempts_made) == ({"data": n}, 1, 1)


async def test_metrics_per_minute_are_read_by_node(pair: Pair, queue: Queue, nodes: Nodes) -> None:
    ids = [await pair.adds.add("bad" if n < 2 else "good") for n in range(5)]
    async with pair.works.work({"bad": Script(unrecoverable="no"), "*": Script()}, WorkerOptions(metrics_minutes=60)):
        await finished(queue, *ids)
    completed = await nodes.queue.call("getMetrics", "completed")
    failed = await nodes.queue.call("getMetrics", "failed")
    assert (completed["meta"]["count"], failed["meta"]["count"]) == (3, 2)


async def test_a_held_lock_is_renewed_against_the_others_sweep(ours: Ours, nodes: Nodes, queue: Queue) -> None:
    quick = WorkerOptions(lock_ms=300, stalled_interval_ms=100)
    workers: list[tuple[Side, Side]] = [(ours, nodes), (nodes, ours)]
    for holder, sweeper in workers:
        async with AsyncExitStack() as stack:
            worker = await stack.enter_async_context(holder.work(Script(hold=True), quick))
            job_id = await holder.add("long")
            await worker.runs.first(lambda run, wanted=job_id: run.job_id == wanted)  # type: ignore[misc]
            await stack.enter_async_context(sweeper.work(Script(value="stolen"), quick))
            taken = await job(queue, job_id)
            started = taken.processed_on_ms or 0
            # Ten sweeps and four lives of the lock.
            await until(partial(_is_later, queue, started + 1_200))
            await worker.release()
            await finished(queue, job_id)
        done = await job(queue, job_id)
        assert (done.attempts_started, done.stalled_count, done.return_value) == (1, 0, None)


async def _is_later(queue: Queue, at_ms: int) -> bool:
    seconds, microseconds = await queue.connection.redis.time()
    return seconds * 1_000 + microseconds // 1_000 > at_ms
