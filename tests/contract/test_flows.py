"""Flows are made in Node; their children and parents may be ours to process."""

from dataclasses import dataclass
from typing import Any

import pytest

from berrante.engine import Connection, Queue, State
from tests.contract.observing import finished, job
from tests.contract.peer import Json, Peer
from tests.contract.sides import QUEUE, Nodes, Ours, Script, Side

#: Parents have a queue of their own, so that who works on the children never takes them.
PARENTS = "parents"


@dataclass(frozen=True, slots=True)
class Parents:
    """The queue of the parents: who works on it, and both ways to read it."""

    works: Side
    queue: Queue
    in_node: Nodes


@pytest.fixture(params=["python", "node"])
def parents(request: pytest.FixtureRequest, connection: Connection, peer: Peer, prefix: str) -> Parents:
    ours, nodes = Ours(connection, prefix, PARENTS), Nodes(peer, prefix, PARENTS)
    return Parents(ours if request.param == "python" else nodes, ours.queue, nodes)


def _flow(*children: dict[str, Any], queue: str = PARENTS, **options: Any) -> dict[str, Any]:
    return {
        "name": "parent",
        "queueName": queue,
        "data": {"of": len(children)},
        "opts": options,
        "children": [{"queueName": QUEUE, "data": {}, **child} for child in children],
    }


async def test_a_parent_runs_once_all_its_children_are_done(
    side: Side, parents: Parents, queue: Queue, nodes: Nodes, peer: Peer, prefix: str
) -> None:
    tree = _flow({"name": "child", "data": {"n": 1}}, {"name": "child", "data": {"n": 2}, "opts": {"priority": 3}})
    flow = await peer.flow(tree, prefix=prefix)
    parent_id, children = flow["id"], flow["children"]
    assert await parents.queue.state(parent_id) is State.WAITING_CHILDREN
    assert (await parents.queue.counts())[State.WAITING_CHILDREN] == 1
    async with side.work(Script(echo=True)):
        await finished(queue, *children)
    assert await parents.queue.state(parent_id) is State.WAITING
    assert await parents.in_node.queue.job(parent_id, "getChildrenValues") == {
        queue.keys.job(children[0]): {"data": {"n": 1}},
        queue.keys.job(children[1]): {"data": {"n": 2}},
    }
    async with parents.works.work(Script(value="all done")):
        await finished(parents.queue, parent_id)
    done = await parents.in_node.queue.get(parent_id)
    assert done is not None
    assert (done["returnvalue"], done["attemptsMade"]) == ("all done", 1)
    counts = {"processed": 2, "unprocessed": 0, "failed": 0, "ignored": 0}
    assert await parents.in_node.queue.job(parent_id, "getDependenciesCount") == counts
    child = await nodes.queue.get(children[0])
    assert child is not None
    assert child["parentKey"] == parents.queue.keys.job(parent_id)


async def test_an_idle_parent_worker_is_woken_by_the_last_child(
    side: Side, queue: Queue, peer: Peer, prefix: str
) -> None:
    flow = await peer.flow(_flow({"name": "a", "data": 1}, {"name": "b", "data": 2}), prefix=prefix)
    gatherer = await peer.worker(
        PARENTS, prefix=prefix, scripts={"*": {"children": True}}, options={"name": "gatherer", "drainDelay": 60}
    )
    async with side.work({"a": Script(value={"from": "a"}), "b": Script(value=None)}):
        await finished(queue, *flow["children"])
    assert (await gatherer.runs.wait(bool))[0].job_id == flow["id"]
    events = await peer.events(PARENTS, prefix=prefix)
    values: list[Json] = await events.finished(peer.queue(PARENTS, prefix=prefix), flow["id"])
    assert sorted(values, key=str) == [None, {"from": "a"}]
    await gatherer.stop()


async def test_a_grandchild_releases_its_generations_in_turn(side: Side, queue: Queue, peer: Peer, prefix: str) -> None:
    leaf = {"name": "leaf", "queueName": QUEUE, "data": {}}
    flow = await peer.flow(_flow({"name": "child", "children": [leaf, leaf]}, queue=QUEUE), prefix=prefix)
    async with side.work(Script()) as worker:
        await finished(queue, flow["id"])
    assert [run.name for run in worker.runs.items] == ["leaf", "leaf", "child", "parent"]


async def test_a_childs_failure_fails_the_parent_where_it_says_so(
    side: Side, parents: Parents, queue: Queue, peer: Peer, prefix: str
) -> None:
    tree = _flow({"name": "child", "opts": {"failParentOnFailure": True}}, attempts=5)
    flow = await peer.flow(tree, prefix=prefix)
    (child,) = flow["children"]
    async with side.work(Script(unrecoverable="no such contact")):
        await finished(queue, child)
    async with parents.works.work(Script(value="never")) as worker:
        await finished(parents.queue, flow["id"])
    assert worker.runs.items == []
    parent = await job(parents.queue, flow["id"])
    assert parent.failed_reason == f"child {queue.keys.job(child)} failed"
    assert parent.attempts_made == 1
    assert parent.deferred_failure is None
    assert await parents.in_node.queue.state(flow["id"]) == "failed"


@pytest.mark.parametrize(
    "option", ["ignoreDependencyOnFailure", "removeDependencyOnFailure", "continueParentOnFailure"]
)
async def test_a_childs_failure_lets_the_parent_run_where_it_says_so(
    side: Side, parents: Parents, queue: Queue, peer: Peer, prefix: str, option: str
) -> None:
    flow = await peer.flow(_flow({"name": "child", "opts": {option: True}}), prefix=prefix)
    (child,) = flow["children"]
    async with side.work(Script(unrecoverable="no")):
        await finished(queue, child)
    async with parents.works.work(Script(value="went on")):
        await finished(parents.queue, flow["id"])
    assert (await job(parents.queue, flow["id"])).return_value == "went on"


async def test_a_parent_waits_for_a_failed_child_that_says_nothing(
    side: Side, parents: Parents, queue: Queue, peer: Peer, prefix: str
) -> None:
    flow = await peer.flow(_flow({"name": "child"}), prefix=prefix)
    (child,) = flow["children"]
    async with side.work(Script(unrecoverable="no")):
        await finished(queue, child)
    assert await parents.queue.state(flow["id"]) is State.WAITING_CHILDREN
    await queue.retry(child)
    async with side.work(Script()), parents.works.work(Script()):
        await finished(parents.queue, flow["id"])


async def test_a_child_that_is_retried_releases_its_parent_at_last(
    side: Side, parents: Parents, queue: Queue, peer: Peer, prefix: str
) -> None:
    child = {"name": "child", "opts": {"attempts": 3, "backoff": {"type": "fixed", "delay": 10}}}
    flow = await peer.flow(_flow(child), prefix=prefix)
    async with side.work(Script(fail="not yet", fail_times=2, value="at last")):
        await finished(queue, *flow["children"])
    async with parents.works.work(Script()):
        await finished(parents.queue, flow["id"])
    values = await parents.in_node.queue.job(flow["id"], "getChildrenValues")
    assert list(values.values()) == ["at last"]


async def test_removing_a_parent_by_us_removes_its_children(
    ours: Ours, queue: Queue, connection: Connection, peer: Peer, prefix: str
) -> None:
    flow = await peer.flow(_flow({"name": "a"}, {"name": "b"}), prefix=prefix)
    above = Ours(connection, prefix, PARENTS)
    await above.remove(flow["id"])
    assert await ours.states() == await above.states() == {}
    for job_id in (*flow["children"], flow["id"]):
        left = [key async for key in connection.redis.scan_iter(match=f"{prefix}:*:{job_id}*")]
        assert left == []
