"""Calls that add jobs which wait for other jobs, and look after them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from berrante.engine.options import JobOptions
from berrante.engine.wire.adding import by_state
from berrante.engine.wire.codec import Json, encode, pack, write_options
from berrante.engine.wire.keys import QueueKeys
from berrante.engine.wire.scripts import Argument, Call, extended, official, own

#: What a child's failure for good means to its parent.
OnFailure = Literal["wait", "fail_parent", "continue_parent", "ignore", "remove"]

_SHORT: Final = {"fail_parent": "fpof", "continue_parent": "cpof", "ignore": "idof", "remove": "rdof"}
_HELD: Final = "hold"


@dataclass(frozen=True, slots=True)
class Bond:
    """What ties a child to its parent: the parent's queue and id, and what becomes of the parent if the child fails."""

    keys: QueueKeys
    parent_id: str
    on_failure: OnFailure

    @property
    def key(self) -> str:
        """The key of the parent."""
        return self.keys.job(self.parent_id)

    @property
    def queue(self) -> str:
        """What BullMQ calls the parent's qualified queue name."""
        return f"{self.keys.prefix}:{self.keys.queue}"

    @property
    def policy(self) -> dict[str, bool]:
        """What becomes of the parent, in BullMQ's short words."""
        return {_SHORT[self.on_failure]: True} if self.on_failure in _SHORT else {}


def plant(
    keys: QueueKeys,
    *,
    job_id: str,
    name: str,
    data: Json,
    options: JobOptions,
    bond: Bond | None,
    waits: bool,
    now_ms: int,
) -> Call:
    """Add a job to a tree, after its parent; with ``waits`` it waits for children.

    The reply is its id, or a negative code.
    """
    wire = node_options(options, bond)
    parent = {"id": bond.parent_id, "queueKey": bond.queue, **bond.policy} if bond else None
    unique = options.deduplication
    head = (
        keys.base,
        job_id,
        name,
        now_ms,
        bond.key if bond else None,
        f"{bond.key}:dependencies" if bond else None,
        parent,
        None,
        keys.state(f"de:{unique.id}") if unique else None,
    )
    args: list[Argument] = [pack(head), encode(data), pack(wire)]
    if not waits:
        return by_state(keys, options, args)
    return Call(
        official("addParentJob-6"),
        [keys.meta, keys.id, keys.delayed, keys.waiting_children, keys.completed, keys.events],
        args,
    )


def node_options(options: JobOptions, bond: Bond | None) -> dict[str, Json]:
    """Return the options of a job in a tree as BullMQ stores them."""
    if bond is None:
        return write_options(options)
    return {**write_options(options), **bond.policy, "parent": {"id": bond.parent_id, "queue": bond.queue}}


def hold(keys: QueueKeys, job_id: str, *, named: Sequence[str]) -> Call:
    """Keep a parent waiting until ``release``, even if the children that it has until then are all done.

    ``named`` are the keys of the children to come whose ids were given.
    """
    return Call(own("hold"), [f"{keys.job(job_id)}:dependencies"], [_HELD, *named])


def release(keys: QueueKeys, job_id: str, *, children: Sequence[str], now_ms: int) -> Call:
    """Let a parent that ``hold`` kept wait for its children alone, of which these are the keys."""
    key = keys.job(job_id)
    return Call(
        extended("release"),
        [key, f"{key}:dependencies", f"{key}:processed"],
        [keys.base.removesuffix(":"), job_id, now_ms, _HELD, len(set(children))],
    )


def remove_unprocessed(keys: QueueKeys, job_id: str) -> Call:
    """Remove the children of a job that have not been run and are not being run."""
    return Call(official("removeUnprocessedChildren-2"), [keys.job(job_id), keys.meta], [keys.base, job_id])
