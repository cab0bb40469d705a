"""Groups, which Node does not know: its producers take part in them, and its workers and operators do them no harm."""

import asyncio
import os
from collections import Counter, defaultdict

from berrante.engine import GroupLimits, Job, JobOptions, NewJob, Queue, Retention, State, Waits, Worker, WorkerOptions
from tests.contract.observing import finished, idle, until
from tests.contract.peer import Peer
from tests.contract.sides import QUEUE, Nodes, Ours, Script

#: One run of a group at a time: its jobs go in their order.
SERIAL = WorkerOptions(
    concurrency=20,
    name="ours-1",
    groups=GroupLimits(concurrency=1),
    group_by="instanceId",
    keep_completed=Retention.everything(),
)
NUMBERS = ("sales", "support", "billing")
JOBS = int(os.environ.get("BERRANTE_CONTRACT_GROUPED_JOBS", "3000"))


async def test_jobs_of_a_node_producer_take_turns_in_the_group_that_their_data_names(
    nodes: Nodes, queue: Queue
) -> None:
    ran: dict[str, list[int]] = defaultdict(list)
    running: Counter[str] = Counter()
    together: list[str] = []

    async def handle(job: Job) -> None:
        number = job.data["instanceId"]
        running[number] += 1
        together.extend([number] * (running[number] > 1))
        await job.update_progress(50)  # the loop serves others meanwhile
        ran[number].append(job.data["n"])
        running[number] -= 1

    ids = await nodes.add_bulk([NewJob("in", {"instanceId": NUMBERS[n % 3], "n": n}) for n in range(90)])
    worker = Worker(queue.name, handle, queue.connection, SERIAL, prefix=queue.prefix)
    task = asyncio.create_task(worker.run())
    await finished(queue, *ids)
    await worker.stop()
    await task
    assert together == []
    assert ran == {number: list(range(at, 90, 3)) for at, number in enumerate(NUMBERS)}


async def test_a_node_worker_beside_ours_leaves_no_job_behind_and_does_none_twice(
    ours: Ours, nodes: Nodes, queue: Queue
) -> None:
    node_options = WorkerOptions(concurrency=10, keep_completed=Retention.everything())
    async with ours.work(Script(), SERIAL) as mine, nodes.work(Script(), node_options) as theirs:
        await idle(queue.connection, ours.worker_name, nodes.worker_name)
        await asyncio.gather(
            ours.add_bulk([NewJob("a", n, JobOptions(group=f"g{n % 40}")) for n in range(JOBS // 2)]),
            nodes.add_bulk([NewJob("b", {"instanceId": f"g{n % 40}"}) for n in range(JOBS // 2)]),
        )

        async def all_completed() -> bool:
            told = sum(len(worker.runs.items) for worker in (mine, theirs))
            return told >= JOBS and (await queue.counts())[State.COMPLETED] == JOBS

        await until(all_completed, timeout_s=30 + JOBS / 50)
        ran = Counter(run.job_id for worker in (mine, theirs) for run in worker.runs.items)
        assert len(ran) == JOBS
        assert set(ran.values()) == {1}
        assert mine.runs.items, "only ours knows the way to jobs that wait in groups"
    assert {key async for key in queue.connection.redis.scan_iter(match=f"{queue.keys.state('groups:')}*")} <= {
        queue.keys.state(f"groups:{name}").encode() for name in ("default", "marker")
    }


async def test_node_can_read_a_job_that_waits_in_a_group_and_takes_it_from_nobody(ours: Ours, nodes: Nodes) -> None:
    await ours.queue.groups.pause("sales")
    job_id = await ours.add("held", {"n": 1}, JobOptions(group="sales", priority=3))
    async with nodes.work(Script()) as worker:
        await idle(ours.queue.connection, nodes.worker_name)
        seen = await nodes.queue.get(job_id)
        assert seen is not None
        assert (seen["data"], seen["name"], seen["opts"]["priority"]) == ({"n": 1}, "held", 3)
        assert await nodes.queue.state(job_id) == "unknown"
        await nodes.drain()
        assert await nodes.clean(State.WAITING) == []
        plain = await nodes.add("plain")
        await finished(ours.queue, plain)
        assert [run.job_id for run in worker.runs.items] == [plain]
    stats = await ours.queue.groups.stats("sales")
    assert (stats.waiting, stats.why) == ({3: 1}, Waits.PAUSED)
    async with ours.work(Script(), SERIAL):
        await ours.queue.groups.resume("sales")
        await finished(ours.queue, job_id)


async def test_a_job_that_node_removes_while_it_waits_in_a_group_holds_nobody_up(ours: Ours, nodes: Nodes) -> None:
    await ours.queue.groups.pause("sales")
    gone = await ours.add("gone", None, JobOptions(group="sales"))
    stays = await ours.add("stays", None, JobOptions(group="sales"))
    await nodes.remove(gone)
    async with ours.work(Script(), SERIAL) as worker:
        await ours.queue.groups.resume("sales")
        await finished(ours.queue, stays)
        assert [run.job_id for run in worker.runs.items] == [stays]
    assert (await ours.queue.groups.stats("sales")).waiting == {}


async def test_what_node_promotes_or_retries_goes_back_into_its_group(ours: Ours, nodes: Nodes, queue: Queue) -> None:
    failing = await ours.add("bad", None, JobOptions(group="sales"))
    async with ours.work({"*": Script(unrecoverable="no")}, SERIAL):
        await finished(queue, failing)
    later = await ours.add("late", None, JobOptions(group="sales", delay_ms=3_600_000))
    await queue.groups.pause("sales")
    await nodes.promote(later)
    await nodes.retry(failing)
    async with ours.work(Script(), SERIAL) as worker:

        async def both_are_filed() -> bool:
            return (await queue.groups.stats("sales")).waiting == {0: 2}

        await until(both_are_filed)
        assert worker.runs.items == []
        await queue.groups.resume("sales")
        await finished(queue, later)
        await finished(queue, failing, times=2)


async def test_node_hears_of_grouped_jobs_what_it_hears_of_all(ours: Ours, peer: Peer, queue: Queue) -> None:
    events = await peer.events(QUEUE, prefix=queue.prefix)
    async with ours.work(Script(value="well"), SERIAL):
        job_id = await ours.add("told", None, JobOptions(group="sales"))
        await events.first("completed", job_id=job_id)
    assert events.names(job_id) == ["added", "waiting", "active", "completed"]
