"""The tree of jobs that a job belongs to, and what may be done to it."""

from typing import Any

from berrante.engine import Job, Queue
from berrante.engine.family import FamilyTree, count_children, find_root, read_family
from berrante.web.board.asked import Answer, Asked
from berrante.web.board.bodies import window
from berrante.web.board.errors import BoardError
from berrante.web.board.formatting import readable, without_none


async def job_flow(asked: Asked, queue: Queue, job: Job) -> Answer:
    """Return the whole tree around a job, or, asked so, what is below it."""
    known = list(asked.queues.values())
    root = (queue, job.id) if asked.query.get("root") == "node" else await find_root(queue, job, known)
    depth, width = window(asked.query)
    tree = await read_family(root[0], root[1], depth=depth, width=width) if root else None
    return {
        "nodeId": job.id,
        "isFlowNode": bool(tree and tree.children),
        "flowRoot": _node(tree) if tree else None,
    }


async def remove_unprocessed_children(_: Asked, queue: Queue, job: Job) -> Answer:
    """Remove the children that no worker has begun."""
    waiting = (await count_children(queue, job.id)).unprocessed
    if not waiting:
        raise BoardError(400, "JOB_HAS_NO_UNPROCESSED_CHILDREN")
    await job.remove_unprocessed_children()
    return {"removed": waiting}


def _node(tree: FamilyTree) -> dict[str, Any]:
    counts = tree.counts
    dependencies = {
        "processed": counts.processed,
        "unprocessed": counts.unprocessed,
        "ignored": counts.ignored,
        "failed": counts.failed,
    }
    shown = {
        "id": tree.job.id,
        "name": tree.job.name,
        "progress": readable(lambda: tree.job.progress, 0),
        "state": tree.state.value if tree.state else "unknown",
        "queueName": tree.job.queue_name,
        "children": [_node(child) for child in tree.children],
        "dependencies": dependencies if counts.total else None,
        "ignoredChildFailureReasons": tree.ignored_reasons or None,
        "truncated": tree.is_cut or None,
    }
    return without_none(shown)
