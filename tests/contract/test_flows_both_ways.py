"""Flows and deduplicated jobs that we make are those that Node would have made, whoever works on them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from berrante.engine import (
    Backoff,
    Connection,
    Deduplication,
    Flow,
    FlowProducer,
    Job,
    JobDidFail,
    JobOptions,
    OnFailure,
    Queue,
    Retention,
    State,
    WorkerOptions,
)
from tests.contract.history import dump
from tests.contract.installation import node
from tests.contract.observing import finished, job, until
from tests.contract.peer import Json, Peer, PeerError
from tests.contract.sides import QUEUE, Nodes, Ours, Script, Side, job_options
from tests.probes import working

_GET_FLOW = Path(__file__).parent / "node" / "flow.mjs"
PARENTS = "parents"
_POLICIES: dict[OnFailure, str] = {
    "fail_parent": "failParentOnFailure",
    "continue_parent": "continueParentOnFailure",
    "ignore": "ignoreDependencyOnFailure",
    "remove": "removeDependencyOnFailure",
}


def _sides(connection: Connection, peer: Peer, prefix: str, queue: str = QUEUE) -> tuple[Ours, Nodes]:
    return Ours(connection, prefix, queue), Nodes(peer, prefix, queue)


async def _get_flow(redis_url: str, node_modules: Path, prefix: str, queue: str, job_id: str) -> dict[str, Any]:
    """Read a flow by Node's ``getFlow``."""
    process = await asyncio.create_subprocess_exec(
        str(node()),
        str(_GET_FLOW),
        redis_url,
        str(node_modules / "package.json"),
        prefix,
        queue,
        job_id,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await asyncio.wait_for(process.communicate(), 20)
    assert not complained, complained.decode()
    flow: dict[str, Any] = json.loads(said)
    return flow


async def test_node_reads_our_flow_and_works_on_it(
    connection: Connection, peer: Peer, prefix: str, redis_url: str, node_modules: Path
) -> None:
    (children, in_node), (parents, parents_in_node) = (
        _sides(connection, peer, prefix),
        _sides(connection, peer, prefix, PARENTS),
    )
    tree = await FlowProducer(connection, prefix=prefix).add(
        Flow(
            queue=PARENTS,
            name="report",
            data={"of": 2},
            children=[
                Flow(queue=QUEUE, name="good", data={"n": 1}),
                Flow(queue=QUEUE, name="bad", data={"n": 2}, on_failure="ignore"),
            ],
        )
    )
    good, bad = (child.job for child in tree.children)
    flow = await _get_flow(redis_url, node_modules, prefix, PARENTS, tree.job.id)
    assert (flow["name"], flow["data"], flow["state"]) == ("report", {"of": 2}, "waiting-children")
    assert sorted((child["name"], child["data"]["n"], child["state"]) for child in flow["children"]) == [
        ("bad", 2, "waiting"),
        ("good", 1, "waiting"),
    ]
    async with in_node.work({"good": Script(echo=True), "bad": Script(unrecoverable="no such contact")}):
        await finished(children.queue, good.id, bad.id)
    flow = await _get_flow(redis_url, node_modules, prefix, PARENTS, tree.job.id)
    assert (flow["state"], flow["values"], flow["ignored"]) == (
        "waiting",
        {good.key: {"data": {"n": 1}}},
        {bad.key: "no such contact"},
    )
    assert await tree.job.children_values() == flow["values"]
    assert await tree.job.failed_children() == flow["ignored"]
    async with parents_in_node.work(Script(value="went on")):
        await finished(parents.queue, tree.job.id)
    assert await tree.job.wait_until_finished(timeout_s=10) == "went on"


async def test_our_handler_reads_what_nodes_children_returned(connection: Connection, peer: Peer, prefix: str) -> None:
    children, in_node = _sides(connection, peer, prefix)
    parents, _ = _sides(connection, peer, prefix, PARENTS)
    flow = await peer.flow(
        {
            "name": "report",
            "queueName": PARENTS,
            "data": {},
            "children": [{"name": "child", "queueName": QUEUE, "data": {"n": n}} for n in range(2)],
        },
        prefix=prefix,
    )

    async def gather(job: Job) -> list[Json]:
        return sorted((await job.children_values()).values(), key=str)

    async with in_node.work(Script(echo=True)):
        await finished(children.queue, *flow["children"])
    async with working(PARENTS, gather, connection, prefix=prefix):
        parent = await job(parents.queue, flow["id"])
        assert await parent.wait_until_finished(timeout_s=10) == [{"data": {"n": 0}}, {"data": {"n": 1}}]


async def test_who_waits_is_told_of_the_end_by_the_other_side(connection: Connection, peer: Peer, prefix: str) -> None:
    ours, nodes = _sides(connection, peer, prefix)
    good, bad = await ours.queue.add("good", 1), await ours.queue.add("bad", 2)
    waiting = [asyncio.create_task(job.wait_until_finished(timeout_s=15)) for job in (good, bad)]
    async with nodes.work({"good": Script(echo=True), "bad": Script(unrecoverable="no such contact")}):
        assert await waiting[0] == {"data": 1}
        with pytest.raises(JobDidFail, match="no such contact"):
            await waiting[1]
    events = await peer.events(QUEUE, prefix=prefix)
    job_id = await nodes.add("bad", 3)
    async with ours.work({"bad": Script(unrecoverable="no such instance")}):
        with pytest.raises(PeerError, match="no such instance"):
            await events.finished(nodes.queue, job_id)


Play = Callable[[Side, bool], Awaitable[None]]


def _timeless(left: dict[str, Any], prefix: str) -> dict[str, Any]:
    left["meta"].pop("version", None)
    text: dict[str, Any] = json.loads(json.dumps(left, default=sorted).replace(prefix, "(prefix)"))
    return text


async def _dump(connection: Connection, prefix: str) -> dict[str, Any]:
    """What stands in both queues, which prefix aside is the same if the histories were."""
    return {
        queue: _timeless(await dump(connection, Queue(queue, connection, prefix=prefix)), prefix)
        for queue in (QUEUE, PARENTS)
    }


def _node_flow(policy: str | None) -> dict[str, Any]:
    child = {"queueName": QUEUE, "data": {"n": 1}}
    return {
        "name": "report",
        "queueName": PARENTS,
        "data": {"of": 3},
        "opts": {"jobId": "report", "attempts": 2, "priority": 4},
        "children": [
            {**child, "name": "bad", "opts": {"jobId": "bad", "attempts": 1, **({policy: True} if policy else {})}},
            {**child, "name": "good", "opts": {"jobId": "good", "attempts": 1, "removeOnComplete": True}},
            {
                **child,
                "name": "middle",
                "opts": {"jobId": "middle", "attempts": 1, "priority": 3},
                "children": [{**child, "name": "good", "opts": {"jobId": "leaf", "attempts": 1}}],
            },
        ],
    }


def _our_flow(on_failure: OnFailure) -> Flow:
    def child(name: str, job_id: str, *children: Flow, on_failure: OnFailure = "wait", **options: Any) -> Flow:
        return Flow(
            queue=QUEUE,
            name=name,
            data={"n": 1},
            options=JobOptions(job_id=job_id, **options),
            children=children,
            on_failure=on_failure,
        )

    return Flow(
        queue=PARENTS,
        name="report",
        data={"of": 3},
        options=JobOptions(job_id="report", attempts=2, priority=4),
        children=[
            child("bad", "bad", on_failure=on_failure),
            child("good", "good", keep_completed=Retention.nothing()),
            child("middle", "middle", child("good", "leaf"), priority=3),
        ],
    )


@pytest.mark.parametrize("on_failure", ["wait", *_POLICIES])
async def test_the_same_tree_leaves_the_same_keys(
    connection: Connection, peer: Peer, prefix: str, on_failure: OnFailure
) -> None:
    """Made, worked on and failed by Node alone, and by us alone."""

    async def work(children: Side, parents: Side, queue: Queue) -> None:
        options = WorkerOptions(name="worker-1")
        async with children.work({"bad": Script(unrecoverable="no"), "*": Script(echo=True)}, options):
            await finished(queue, "bad", "good", "leaf", "middle")
        if on_failure != "wait":
            async with parents.work(Script(value="went on"), options):
                await finished(Queue(PARENTS, connection, prefix=queue.prefix), "report")

    theirs, mine = f"{prefix}n", f"{prefix}p"
    for queue in (QUEUE, PARENTS):
        await peer.queue(queue, prefix=theirs).open()
    await peer.flow(_node_flow(_POLICIES.get(on_failure)), prefix=theirs)
    await FlowProducer(connection, prefix=mine).add(_our_flow(on_failure))
    assert await _dump(connection, mine) == await _dump(connection, theirs), "once added"
    for side, at in ((1, theirs), (0, mine)):
        children, parents = _sides(connection, peer, at), _sides(connection, peer, at, PARENTS)
        await work(children[side], parents[side], children[0].queue)
    ours, nodes = await _dump(connection, mine), await _dump(connection, theirs)
    for queue, left in nodes.items():
        if on_failure == "fail_parent" and "report" in left:
            # Node keeps a trace of its own code, where it raises what a child brought upon the parent.
            del left["report"]["stacktrace"], ours[queue]["report"]["stacktrace"]
        # A counter of priorities goes with the next look at an empty line, which a worker that stops may not take.
        for key in sorted((left | ours[queue]).keys() - {"pc"}):
            assert ours[queue].get(key) == left.get(key), f"{key!r} of {queue!r} once worked on"


_DEDUPLICATED = [
    JobOptions(deduplication=Deduplication(id="x")),
    JobOptions(deduplication=Deduplication(id="x"), priority=3),
    JobOptions(deduplication=Deduplication(id="x", ttl_ms=600_000)),
    JobOptions(deduplication=Deduplication(id="x", ttl_ms=600_000, extend=True)),
    JobOptions(deduplication=Deduplication(id="x", keep_last_if_active=True)),
    JobOptions(deduplication=Deduplication(id="x", ttl_ms=600_000, replace=True), delay_ms=200),
    JobOptions(deduplication=Deduplication(id="x"), attempts=2, backoff=Backoff.fixed(10)),
]


async def _all_ended(queue: Queue) -> bool:
    counts = await queue.counts()
    return not any(counts[state] for state in State if state not in (State.COMPLETED, State.FAILED))


def _in_nodes_words(options: JobOptions) -> dict[str, Any]:
    unique = options.deduplication
    assert unique is not None
    said = {
        "id": unique.id,
        "ttl": unique.ttl_ms,
        "extend": unique.extend,
        "replace": unique.replace,
        "keepLastIfActive": unique.keep_last_if_active,
    }
    return {**job_options(options), "deduplication": {name: value for name, value in said.items() if value}}


@pytest.mark.parametrize("options", _DEDUPLICATED)
async def test_the_same_deduplicated_jobs_leave_the_same_keys(
    connection: Connection, peer: Peer, prefix: str, options: JobOptions
) -> None:
    async def play(side: Side, add: Callable[[int], Awaitable[str]], queue: Queue) -> dict[str, Any]:
        scripts = {"*": Script(hold=True, fail="not yet", fail_times=options.attempts - 1, value=1)}
        for n in range(3):
            last = await add(n)
        async with side.work(scripts, WorkerOptions(name="worker-1")) as worker:
            run = await worker.runs.first(lambda run: run.job_id == last)
            assert await add(3) == run.job_id
            await worker.release()
            await until(lambda: _all_ended(queue))
        await add(4)
        return _timeless(await dump(connection, queue), queue.prefix)

    ours, _ = _sides(connection, peer, f"{prefix}p")
    in_node, nodes = _sides(connection, peer, f"{prefix}n")
    await nodes.queue.open()
    said = _in_nodes_words(options)
    theirs = await play(nodes, lambda n: nodes.queue.add("sync", n, **said), in_node.queue)
    mine = await play(ours, lambda n: ours.add("sync", n, options), ours.queue)
    for key in sorted(theirs | mine):
        assert mine.get(key) == theirs.get(key), f"{key!r}"


async def test_a_job_that_one_side_keeps_off_the_other_keeps_off_too(
    connection: Connection, peer: Peer, prefix: str
) -> None:
    ours, nodes = _sides(connection, peer, prefix)
    options = JobOptions(deduplication=Deduplication(id="sync"))
    kept = await ours.add("sync", 1, options)
    assert await nodes.queue.add("sync", 2, **_in_nodes_words(options)) == kept
    read = await nodes.queue.get(kept)
    assert read is not None
    assert read["opts"]["deduplication"] == {"id": "sync"}
    assert await ours.queue.remove_deduplication_key("sync")
    other = await nodes.queue.add("sync", 3, **_in_nodes_words(options))
    assert await ours.add("sync", 4, options) == other != kept
    assert (await job(ours.queue, other)).options.deduplication == options.deduplication
