import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from berrante.engine import (
    Connection,
    Deduplication,
    Flow,
    FlowProducer,
    HasOtherParent,
    Job,
    JobMissing,
    JobOptions,
    OnFailure,
    Queue,
    State,
    Unrecoverable,
)
from tests.probes import working
from tests.waiting import until

Handler = Callable[[Job], Awaitable[object]]


@pytest.fixture
def flows(connection: Connection, prefix: str) -> FlowProducer:
    return FlowProducer(connection, prefix=prefix)


@pytest.fixture
def above(connection: Connection, prefix: str) -> Queue:
    """The parents' queue."""
    return Queue("above", connection, prefix=prefix)


def _child(name: str = "child", **said: Any) -> Flow:
    return Flow(queue="q", name=name, **said)


def _parent(*children: Flow, **said: Any) -> Flow:
    return Flow(queue="above", name="parent", children=children, **said)


async def _echo(job: Job) -> object:
    return job.data


async def _fail(job: Job) -> object:
    raise Unrecoverable(f"no {job.name}")


async def _work(queue: Queue, handler: Handler, *job_ids: str) -> None:
    """Work on a queue until these jobs ended."""

    async def ended() -> bool:
        states = [await queue.state(job_id) for job_id in job_ids]
        return all(state in (State.COMPLETED, State.FAILED) for state in states)

    async with working(queue.name, handler, queue.connection, prefix=queue.prefix):
        await until(ended)


async def test_a_parent_runs_after_its_children_and_reads_what_they_returned(
    flows: FlowProducer, queue: Queue, above: Queue
) -> None:
    tree = await flows.add(
        _parent(_child(data={"n": 1}), _child(data=None, options=JobOptions(priority=2)), data="all")
    )
    first, second = (child.job for child in tree.children)
    assert await above.state(tree.job.id) is State.WAITING_CHILDREN
    assert [await queue.state(job.id) for job in (first, second)] == [State.WAITING, State.PRIORITIZED]
    await _work(queue, _echo, first.id, second.id)
    assert await above.state(tree.job.id) is State.WAITING
    read: list[dict[str, Any]] = []

    async def gather(job: Job) -> str:
        read.append(await job.children_values())
        return "done"

    await _work(above, gather, tree.job.id)
    assert read == [{first.key: {"n": 1}, second.key: None}]
    done = await above.get(tree.job.id)
    assert done is not None
    assert (done.return_value, done.data, await done.failed_children()) == ("done", "all", {})


async def test_a_tree_reads_back_as_it_was_added(flows: FlowProducer, queue: Queue, above: Queue) -> None:
    leaf = _child("leaf", options=JobOptions(job_id="leaf", attempts=3), on_failure="ignore")
    tree = await flows.add(_parent(_child("middle", children=[leaf]), _child("other", data=[1])))
    middle, other = tree.children
    assert [child.job.name for child in (middle, other, *middle.children)] == ["middle", "other", "leaf"]
    for job, at in ((tree.job, above), (middle.job, queue), (other.job, queue), (middle.children[0].job, queue)):
        stored = await at.get(job.id)
        assert stored is not None
        assert (
            stored.name,
            stored.data,
            stored.options,
            stored.raw_options,
            stored.parent_key,
            stored.timestamp_ms,
        ) == (
            job.name,
            job.data,
            job.options,
            job.raw_options,
            job.parent_key,
            job.timestamp_ms,
        )
    assert middle.children[0].job.parent_key == middle.job.key
    assert middle.job.parent_key == tree.job.key
    assert tree.job.parent_key is None


async def test_generations_run_from_the_leaves_up(flows: FlowProducer, queue: Queue) -> None:
    ran: list[str] = []

    async def note(job: Job) -> None:
        ran.append(job.name)

    leaves = [_child("leaf"), _child("leaf")]
    tree = await flows.add(Flow(queue="q", name="root", children=[_child("middle", children=leaves), _child("leaf")]))
    await _work(queue, note, tree.job.id)
    # A parent that is let go stands before those that wait already.
    assert ran == ["leaf", "leaf", "middle", "leaf", "root"]


async def test_a_released_parent_keeps_its_priority_and_its_delay(
    flows: FlowProducer, queue: Queue, above: Queue
) -> None:
    soon = await flows.add(_parent(_child(), options=JobOptions(priority=7)))
    later = await flows.add(_parent(_child(), options=JobOptions(delay_ms=60_000)))
    await _work(queue, _echo, soon.children[0].job.id, later.children[0].job.id)
    assert await above.state(soon.job.id) is State.PRIORITIZED
    assert await above.state(later.job.id) is State.DELAYED


async def test_a_parent_whose_child_failed_waits_until_the_child_is_done(
    flows: FlowProducer, queue: Queue, above: Queue
) -> None:
    tree = await flows.add(_parent(_child()))
    child = tree.children[0].job.id
    await _work(queue, _fail, child)
    assert await above.state(tree.job.id) is State.WAITING_CHILDREN
    await queue.retry(child)
    await _work(queue, _echo, child)
    assert await above.state(tree.job.id) is State.WAITING


async def test_fail_parent_fails_the_parent_without_running_it(flows: FlowProducer, queue: Queue, above: Queue) -> None:
    tree = await flows.add(_parent(_child(on_failure="fail_parent"), options=JobOptions(attempts=5)))
    child = tree.children[0].job
    await _work(queue, _fail, child.id)
    ran: list[Job] = []

    async def note(job: Job) -> None:
        ran.append(job)

    await _work(above, note, tree.job.id)
    parent = await above.get(tree.job.id)
    assert parent is not None
    assert (ran, parent.failed_reason) == ([], f"child {child.key} failed")
    assert await above.state(tree.job.id) is State.FAILED


@pytest.mark.parametrize(("on_failure", "told"), [("ignore", True), ("remove", False), ("continue_parent", True)])
async def test_a_parent_goes_on_after_a_failure_that_it_overlooks(
    flows: FlowProducer, queue: Queue, above: Queue, on_failure: OnFailure, told: bool
) -> None:
    tree = await flows.add(_parent(_child("contact", on_failure=on_failure), _child("other", data=2)))
    bad, good = (child.job for child in tree.children)

    async def first_fails(job: Job) -> object:
        return await (_fail if job.name == "contact" else _echo)(job)

    await _work(queue, first_fails, bad.id, good.id)
    assert await above.state(tree.job.id) is State.WAITING
    assert await tree.job.failed_children() == ({bad.key: "no contact"} if told else {})
    assert await tree.job.children_values() == {good.key: 2}
    await _work(above, _echo, tree.job.id)
    assert await above.state(tree.job.id) is State.COMPLETED


async def test_a_parent_that_continues_may_drop_the_children_that_have_not_begun(
    flows: FlowProducer, queue: Queue, above: Queue
) -> None:
    later = _child("later", options=JobOptions(delay_ms=60_000))
    tree = await flows.add(_parent(_child("contact", on_failure="continue_parent"), later))
    bad, waiting = (child.job for child in tree.children)
    await _work(queue, _fail, bad.id)

    async def go_on(job: Job) -> dict[str, str]:
        await job.remove_unprocessed_children()
        return await job.failed_children()

    await _work(above, go_on, tree.job.id)
    done = await above.get(tree.job.id)
    assert done is not None
    assert done.return_value == {bad.key: "no contact"}
    assert await queue.get(waiting.id) is None


async def test_nothing_of_a_tree_is_seen_before_all_of_it(
    flows: FlowProducer, queue: Queue, above: Queue, connection: Connection
) -> None:
    """On a server that knows no script yet, in one transaction."""
    await connection.redis.script_flush()
    tree = await flows.add(
        _parent(_child(), _child(options=JobOptions(priority=1)), _child(options=JobOptions(delay_ms=60_000)))
    )
    assert {state: n for state, n in (await queue.counts()).items() if n} == {
        State.WAITING: 1,
        State.PRIORITIZED: 1,
        State.DELAYED: 1,
    }
    assert await connection.redis.scard(f"{tree.job.key}:dependencies") == 3


async def test_many_flows_are_added_in_one_step(flows: FlowProducer, queue: Queue, above: Queue) -> None:
    trees = await flows.add_bulk([_parent(_child(data=n), data=n) for n in range(50)])
    assert [tree.job.data for tree in trees] == list(range(50))
    assert (await above.counts())[State.WAITING_CHILDREN] == (await queue.counts())[State.WAITING] == 50
    assert await flows.add_bulk([]) == []


async def test_a_child_that_was_done_before_counts_as_done(flows: FlowProducer, queue: Queue, above: Queue) -> None:
    await queue.add("child", "early", JobOptions(job_id="known"))
    await _work(queue, _echo, "known")
    known = _child(options=JobOptions(job_id="known"))
    alone = await flows.add(_parent(known, options=JobOptions(job_id="alone")))
    assert await above.state("alone") is State.WAITING
    assert await alone.job.children_values() == {alone.children[0].job.key: "early"}


async def test_a_child_that_was_done_before_does_not_release_a_parent_of_others(
    flows: FlowProducer, queue: Queue, above: Queue
) -> None:
    await queue.add("child", "early", JobOptions(job_id="known"))
    await _work(queue, _echo, "known")
    tree = await flows.add(_parent(_child(options=JobOptions(job_id="known")), _child(data="late")))
    assert await above.state(tree.job.id) is State.WAITING_CHILDREN
    await _work(queue, _echo, tree.children[1].job.id)
    assert await above.state(tree.job.id) is State.WAITING
    assert sorted((await tree.job.children_values()).values()) == ["early", "late"]


async def test_a_child_of_another_parent_is_refused(flows: FlowProducer, queue: Queue, above: Queue) -> None:
    shared = _child(options=JobOptions(job_id="shared"))
    first = await flows.add(_parent(shared))
    with pytest.raises(HasOtherParent, match="'shared'"):
        await flows.add(_parent(shared, options=JobOptions(job_id="second")))
    stored = await queue.get("shared")
    assert stored is not None
    assert stored.parent_key == first.job.key
    assert await above.state("second") is State.WAITING_CHILDREN


async def test_a_child_whose_parent_is_gone_may_have_another(flows: FlowProducer, queue: Queue, above: Queue) -> None:
    known = _child(options=JobOptions(job_id="known"), data=1)
    first = await flows.add(_parent(known))
    await _work(queue, _echo, "known")
    await _work(above, _echo, first.job.id)
    assert await above.clean(State.COMPLETED) == [first.job.id]
    second = await flows.add(_parent(known, _child(data=2)))
    await _work(queue, _echo, second.children[1].job.id)
    assert await above.state(second.job.id) is State.WAITING
    assert sorted((await second.job.children_values()).values()) == [1, 2]


async def test_adding_a_tree_with_given_ids_again_adds_nothing(flows: FlowProducer, queue: Queue, above: Queue) -> None:
    flow = _parent(_child(options=JobOptions(job_id="child")), options=JobOptions(job_id="parent"))
    await flows.add(flow)
    again = await flows.add(flow)
    assert (again.job.id, again.children[0].job.id) == ("parent", "child")
    assert (await queue.counts())[State.WAITING] == (await above.counts())[State.WAITING_CHILDREN] == 1
    await _work(queue, _echo, "child")
    assert await above.state("parent") is State.WAITING


async def test_what_a_tree_cannot_keep_is_refused_before_anything_is_added(flows: FlowProducer, queue: Queue) -> None:
    once = JobOptions(deduplication=Deduplication(id="once"))
    with pytest.raises(ValueError, match="'parent' has children and deduplication"):
        _parent(_child(), options=once)
    with pytest.raises(ValueError, match="'child' is a child and has deduplication"):
        _parent(_child(options=once))
    with pytest.raises(ValueError, match="on_failure='ignore' and no parent"):
        await flows.add(_child(on_failure="ignore"))
    assert sum((await queue.counts()).values()) == 0
    first = await flows.add(_child(options=once))
    await flows.add(_child(options=once))
    assert (await queue.counts())[State.WAITING] == 1
    assert first.job.options.deduplication == once.deduplication


async def test_removing_a_parent_removes_its_children(flows: FlowProducer, queue: Queue, above: Queue) -> None:
    tree = await flows.add(_parent(_child(), _child()))
    assert await above.remove(tree.job.id)
    assert sum((await queue.counts()).values()) + sum((await above.counts()).values()) == 0
    with pytest.raises(JobMissing):
        await tree.children[0].job.wait_until_finished()


async def test_a_job_that_a_flow_makes_a_child_while_it_runs_releases_its_parent(
    flows: FlowProducer, queue: Queue, above: Queue
) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_: Job) -> str:
        started.set()
        await go_on.wait()
        return "done"

    await queue.add("child", None, JobOptions(job_id="adopted"))
    async with working(queue.name, hold, queue.connection, prefix=queue.prefix):
        await started.wait()
        tree = await flows.add(_parent(_child(options=JobOptions(job_id="adopted"))))
        go_on.set()
        await _work(above, _echo, tree.job.id)
    assert await tree.job.children_values() == {queue.keys.job("adopted"): "done"}


async def test_a_parent_that_completes_before_its_children_fails_for_good_and_does_not_run_again(
    flows: FlowProducer, queue: Queue, above: Queue
) -> None:
    runs = 0

    async def hasty(_: Job) -> str:
        nonlocal runs
        runs += 1
        return "done"

    later = _child("later", options=JobOptions(delay_ms=3_600_000))
    tree = await flows.add(
        _parent(_child("contact", on_failure="continue_parent"), later, options=JobOptions(attempts=5))
    )
    await _work(queue, _fail, tree.children[0].job.id)
    await _work(above, hasty, tree.job.id)
    parent = await above.get(tree.job.id)
    assert parent is not None
    assert await above.state(tree.job.id) is State.FAILED
    assert "children that are not done" in (parent.failed_reason or "")
    assert runs == 1
