"""What can be seen of a queue: its jobs, counts, metrics and workers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from berrante.engine.connection import Connection
from berrante.engine.groups import Groups
from berrante.engine.job import Job
from berrante.engine.metrics import Metrics, read_metrics
from berrante.engine.options import JobOptions
from berrante.engine.state import State
from berrante.engine.tracing import TraceContext
from berrante.engine.whereabouts import state_of
from berrante.engine.wire import administering
from berrante.engine.wire.codec import fields
from berrante.engine.wire.keys import QueueKeys
from berrante.engine.worker_info import WorkerInfo, workers_among


@dataclass(frozen=True, slots=True)
class QueueView:
    """The half of ``Queue`` that changes nothing."""

    name: str
    connection: Connection
    prefix: str = field(default="bull", kw_only=True)
    defaults: JobOptions = field(default=JobOptions(), kw_only=True)
    trace_context: TraceContext | None = field(default=None, kw_only=True)
    keys: QueueKeys = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.connection.admit(self.prefix)
        object.__setattr__(self, "keys", QueueKeys(self.name, prefix=self.prefix))

    @property
    def groups(self) -> Groups:
        """The queue's groups."""
        return Groups(self.connection, self.keys)

    async def get(self, job_id: str) -> Job | None:
        """Return a job, or None if there is none of that id."""
        hash_ = cast("dict[bytes, bytes]", await self.connection.redis.hgetall(self.keys.job(job_id)))
        return self._job(job_id, hash_) if hash_ else None

    async def logs(self, job_id: str, start: int = 0, end: int = -1) -> list[str]:
        """Return a job's own log lines from ``start`` to ``end``, both counted from 0, -1 being the last."""
        return await self._job(job_id, {}).logs(start, end)

    async def jobs(
        self, states: Sequence[State], *, start: int = 0, end: int = 49, oldest_first: bool = False
    ) -> list[Job]:
        """Return jobs ``start`` to ``end`` of each state, one state after the other.

        Those that wait in groups come last among the waiting, one group after the other, each in the order of its turn.
        """
        call = administering.jobs(
            self.keys, [state.key for state in states], start=start, end=end, oldest_first=oldest_first
        )
        answers: list[list[tuple[bytes, list[bytes]]]] = await self.connection.run(call)
        found: list[Job] = []
        for state, answer in zip(states, answers, strict=True):
            found += [self._job(job_id.decode(), fields(flat)) for job_id, flat in answer]
            if state is State.WAITING:
                found += await self._grouped(start, end, found=len(answer))
        return found

    async def counts(self) -> dict[State, int]:
        """Count the jobs of every state; those in groups, and those that version 5 keeps in ``paused``, are waiting."""
        suffixes = [state.key for state in State]
        answer: list[int] = await self.connection.run(administering.counts(self.keys, [*suffixes, "paused"]))
        counts = dict(zip(State, answer, strict=False))
        counts[State.WAITING] += answer[-1] + await self.groups.count()
        return counts

    async def state(self, job_id: str) -> State | None:
        """Tell where a job stands, or None if it is not there."""
        return await state_of(self.connection, self.keys, job_id)

    async def metrics(self, state: State, *, start: int = 0, end: int = -1) -> Metrics:
        """Read how many jobs completed or failed, in all and in the minutes ``start`` (0: the latest) to ``end``."""
        return await read_metrics(self.connection, self.keys, state, start=start, end=end)

    async def workers(self) -> list[WorkerInfo]:
        """List the queue's workers in all processes, Node's too, from ``CLIENT LIST``."""
        clients: list[dict[str, Any]] = await self.connection.redis.client_list()
        return list(workers_among(clients, self.keys))

    async def _grouped(self, start: int, end: int, *, found: int) -> list[Job]:
        in_groups = await self.groups.count()
        if not in_groups:
            return []
        in_line = await self.connection.redis.llen(self.keys.wait)
        count = in_groups if end < 0 else end - start + 1 - found
        return await self.groups.waiting(start=max(0, start - in_line), count=count) if count > 0 else []

    def _job(self, job_id: str, hash_: dict[bytes, bytes]) -> Job:
        return Job(job_id, hash_, connection=self.connection, keys=self.keys)
