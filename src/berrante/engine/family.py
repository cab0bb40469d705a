"""A job's family as it stands: the tree of jobs that it waits for, read level by level."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio.client import Pipeline

from berrante.engine.connection import Connection
from berrante.engine.job import Job
from berrante.engine.queue import Queue
from berrante.engine.state import State
from berrante.engine.wire import administering
from berrante.engine.wire.keys import QueueKeys

_ASKED: Final = 9  # commands per job
_MOST: Final = 200  # jobs of a tree that is more than two levels deep
_ANCESTORS: Final = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildCounts:
    """How many children of a job are done, not done, failed but overlooked, and failed."""

    processed: int
    unprocessed: int
    ignored: int
    failed: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.processed + self.unprocessed + self.ignored + self.failed


@dataclass(slots=True)
class FamilyTree:
    """A job, where it stands (None if it went away meanwhile), and those of its children that were read.

    ``is_cut`` tells that there are more children than these. ``ignored_reasons`` are by the child's key.
    """

    job: Job
    state: State | None
    counts: ChildCounts
    ignored_reasons: dict[str, str]
    children: list["FamilyTree"] = field(default_factory=list)
    is_cut: bool = False


@dataclass(slots=True)
class _Read:
    tree: FamilyTree
    child_keys: list[str]
    vanished: int = 0


async def read_family(queue: Queue, job_id: str, *, depth: int, width: int) -> FamilyTree | None:
    """Read a job and its descendants: ``depth`` levels (1: the job alone), up to ``width`` children of each.

    Never more than 200 jobs, or than ``width`` if only two levels are asked for. None if the job is not there.
    """
    budget = max(_MOST, width) if depth <= 2 else _MOST
    (root,) = await _read(queue.connection, queue.prefix, [queue.keys.job(job_id)], width)
    level = [root] if root else []
    everything = list(level)
    for _ in range(depth - 1):
        asked = [(parent, key) for parent in level for key in parent.child_keys[:width]]
        asked = asked[: budget + 1 - len(everything)]
        found = await _read(queue.connection, queue.prefix, [key for _, key in asked], width)
        level = []
        for (parent, _), child in zip(asked, found, strict=True):
            if child is None:
                parent.vanished += 1
            else:
                parent.tree.children.append(child.tree)
                level.append(child)
        everything += level
        if not level:
            break
    for one in everything:
        one.tree.is_cut = len(one.tree.children) + one.vanished < one.tree.counts.total
    return root.tree if root else None


async def count_children(queue: Queue, job_id: str) -> ChildCounts:
    """Count a job's children by what became of them."""
    key = queue.keys.job(job_id)
    async with queue.connection.redis.pipeline(transaction=False) as pipeline:
        _count(pipeline, key)
        done, to_do, ignored, failed = await pipeline.execute()
    return ChildCounts(processed=done, unprocessed=to_do, ignored=ignored, failed=failed)


async def find_root(queue: Queue, job: Job, known: Sequence[Queue]) -> tuple[Queue, str] | None:
    """Return the queue and id of the job that all of ``job``'s family is for, itself if it has no parent.

    None if an ancestor is gone, or is in a queue that is not ``known``.
    """
    by_name = {f"{each.prefix}:{each.name}": each for each in known}
    for _ in range(_ANCESTORS):
        parent = job.raw_options.get("parent") if isinstance(job.raw_options, dict) else None
        if not parent or not parent.get("id") or not parent.get("queue"):
            return queue, job.id
        above = by_name.get(str(parent["queue"]))
        found = await above.get(str(parent["id"])) if above else None
        if above is None or found is None:
            return None
        queue, job = above, found
    return None


async def _read(connection: Connection, prefix: str, keys: Sequence[str], width: int) -> list[_Read | None]:
    if not keys:
        return []
    places = [_place(key, prefix) for key in keys]
    async with connection.redis.pipeline(transaction=False) as pipeline:
        for key in keys:
            _ask(pipeline, key, width)
        answers: list[Any] = await pipeline.execute()
    states = await connection.run_all([administering.state(of, job_id) for of, job_id in places])
    parts = [answers[start : start + _ASKED] for start in range(0, len(answers), _ASKED)]
    return [
        _one(connection, place, part, state) if part[0] else None
        for place, part, state in zip(places, parts, states, strict=True)
    ]


def _place(key: str, prefix: str) -> tuple[QueueKeys, str]:
    # No queue's name holds a ':', so that ids may.
    queue, _, job_id = key.removeprefix(f"{prefix}:").partition(":")
    return QueueKeys(queue, prefix=prefix), job_id


def _ask(pipeline: Pipeline, key: str, width: int) -> None:
    pipeline.hgetall(key)
    _count(pipeline, key)
    pipeline.hscan(f"{key}:processed", 0, count=width)
    pipeline.sscan(f"{key}:dependencies", 0, count=width)
    pipeline.zrange(f"{key}:unsuccessful", 0, width - 1)
    pipeline.hscan(f"{key}:failed", 0, count=width)


def _count(pipeline: Pipeline, key: str) -> None:
    pipeline.hlen(f"{key}:processed")
    pipeline.scard(f"{key}:dependencies")
    pipeline.hlen(f"{key}:failed")  # BullMQ's names: failed, but the parent goes on
    pipeline.zcard(f"{key}:unsuccessful")


def _one(connection: Connection, place: tuple[QueueKeys, str], part: list[Any], state: Any) -> _Read:  # noqa: ANN401
    keys, job_id = place
    hash_, done, to_do, ignored, failed, (_, of_done), (_, of_to_do), of_failed, (_, of_ignored) = part
    if isinstance(state, Exception):
        raise state
    tree = FamilyTree(
        job=Job(job_id, hash_, connection=connection, keys=keys),
        state=None if state == b"unknown" else State(state.decode()),
        counts=ChildCounts(processed=done, unprocessed=to_do, ignored=ignored, failed=failed),
        ignored_reasons={key.decode(): reason.decode("utf-8", "replace") for key, reason in of_ignored.items()},
    )
    return _Read(tree, [key.decode() for key in (*of_done, *of_to_do, *of_failed, *of_ignored)])
