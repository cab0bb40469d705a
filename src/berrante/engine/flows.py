"""Flows: trees of jobs, of which each parent runs once its children are done."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from berrante.engine.connection import Connection
from berrante.engine.errors import HasOtherParent
from berrante.engine.job import Job
from berrante.engine.options import JobOptions
from berrante.engine.transaction import run_together
from berrante.engine.wire import flowing
from berrante.engine.wire.codec import Json, encode
from berrante.engine.wire.codes import Code, raise_for
from berrante.engine.wire.flowing import Bond, OnFailure
from berrante.engine.wire.keys import QueueKeys
from berrante.engine.wire.scripts import Call


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """A job to add, and the jobs that it waits for, each in any queue.

    ``on_failure`` says what it means to the parent if this job fails for good: ``wait`` leaves the parent waiting until
    someone retries or removes the child; ``fail_parent`` fails the parent too; ``continue_parent`` runs the parent at
    once, whatever other children it waits for; ``ignore`` lets the parent go on as if the child were done, and keeps
    the reason for ``Job.failed_children``; ``remove`` does so and forgets the child.

    Without ``options.job_id``, the job gets a UUID. Raises ``ValueError`` for options that a tree cannot keep.
    """

    queue: str
    name: str
    data: Json = None
    options: JobOptions = field(default_factory=JobOptions)
    children: Sequence["Flow"] = ()
    on_failure: OnFailure = "wait"

    def __post_init__(self) -> None:
        if self.children and self.options.deduplication:
            raise ValueError(f"Flow {self.name!r} has children and deduplication: give one of them")
        for child in self.children:
            if child.options.deduplication:
                raise ValueError(f"Flow {child.name!r} is a child and has deduplication: it would leave its parent")


@dataclass(frozen=True, slots=True)
class JobTree:
    """A flow's job as it was added, and its children's, in their order."""

    job: Job
    children: tuple["JobTree", ...] = ()


@dataclass(frozen=True, slots=True)
class FlowProducer:
    """Adds flows to the queues under ``prefix``; making one does no I/O.

    Example::

        flows = FlowProducer(connection)
        tree = await flows.add(
            Flow(queue="campaign", name="report", children=[Flow(queue="outbound", name="send", data={"to": "Ana"})])
        )
    """

    connection: Connection
    prefix: str = field(default="bull", kw_only=True)

    async def add(self, flow: Flow) -> JobTree:
        """Add a whole tree in one step: no worker sees a part of it.

        A child of an id that is already there becomes the parent's as it stands. Raises ``HasOtherParent`` if it is the
        child of another job; the rest of the tree is added then, and the parent waits for what it got.
        """
        (tree,) = await self.add_bulk([flow])
        return tree

    async def add_bulk(self, flows: Sequence[Flow]) -> list[JobTree]:
        """Add many trees in one step; otherwise as ``add``."""
        for flow in flows:
            if flow.on_failure != "wait":
                raise ValueError(f"Flow {flow.name!r} has on_failure={flow.on_failure!r} and no parent: leave it out")
        planting = _Planting(self.connection, self.prefix)
        trees = [planting.plant(flow, None) for flow in flows]
        if planting.calls:
            answers = await run_together(self.connection, planting.calls)
            for job_id, answer in zip(planting.ids, answers, strict=True):
                if isinstance(answer, int) and answer < 0:
                    if answer == Code.PARENT_REPLACED:
                        raise HasOtherParent(job_id)
                    raise_for(answer, job_id=job_id, during="add of a flow")
        return trees


class _Planting:
    """The calls that add trees, and for each the id of the job that it is about."""

    def __init__(self, connection: Connection, prefix: str) -> None:
        self.calls: list[Call] = []
        self.ids: list[str] = []
        self._connection = connection
        self._prefix = prefix
        self._now_ms = connection.now_ms()

    def plant(self, flow: Flow, bond: Bond | None) -> JobTree:
        keys = QueueKeys(flow.queue, prefix=self._prefix)
        job_id = flow.options.job_id or str(uuid.uuid4())
        call = flowing.plant(
            keys,
            job_id=job_id,
            name=flow.name,
            data=flow.data,
            options=flow.options,
            bond=bond,
            waits=bool(flow.children),
            now_ms=self._now_ms,
        )
        self._add(job_id, call)
        return JobTree(self._job(keys, job_id, flow, bond), self._children(keys, job_id, flow))

    def _children(self, keys: QueueKeys, job_id: str, flow: Flow) -> tuple[JobTree, ...]:
        # Only a child whose id was given can be there before, and then be done before the next is added.
        named = [
            QueueKeys(child.queue, prefix=self._prefix).job(child.options.job_id)
            for child in flow.children
            if child.options.job_id
        ]
        if named:
            self._add(job_id, flowing.hold(keys, job_id, named=named))
        children = tuple(self.plant(child, Bond(keys, job_id, child.on_failure)) for child in flow.children)
        if named:
            found = [child.job.key for child in children]
            self._add(job_id, flowing.release(keys, job_id, children=found, now_ms=self._now_ms))
        return children

    def _job(self, keys: QueueKeys, job_id: str, flow: Flow, bond: Bond | None) -> Job:
        hash_ = {
            b"name": flow.name.encode(),
            b"data": encode(flow.data),
            b"opts": encode(flowing.node_options(flow.options, bond)),
            b"timestamp": b"%d" % self._now_ms,
            b"delay": b"%d" % flow.options.delay_ms,
            b"priority": b"%d" % flow.options.priority,
        }
        if bond:
            hash_[b"parentKey"] = bond.key.encode()
        return Job(job_id, hash_, connection=self._connection, keys=keys)

    def _add(self, job_id: str, call: Call) -> None:
        self.ids.append(job_id)
        self.calls.append(call)
