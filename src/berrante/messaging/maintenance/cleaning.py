"""Removes old jobs from the queues."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from berrante.engine import State
from berrante.engine.old_jobs import OldJobs
from berrante.messaging.queues import QueueName, Queues


@dataclass(frozen=True, kw_only=True, slots=True)
class Cleaned:
    """How many old jobs a queue has, or had, in a state."""

    queue: QueueName
    state: State
    jobs: int


class Cleaning:
    """Old jobs of some queues and states, by a moment that is fixed once."""

    def __init__(
        self, queues: Queues, *, names: Sequence[QueueName], states: Sequence[State], older_than_ms: int
    ) -> None:
        before = queues.connection.now_ms() - older_than_ms
        self._places = [
            (name, OldJobs(queue=queues[name], state=state, before_ms=before)) for name in names for state in states
        ]

    async def count(self) -> Sequence[Cleaned]:
        """Count what ``remove`` would remove, place by place."""
        return [Cleaned(queue=name, state=old.state, jobs=await old.count()) for name, old in self._places]

    async def remove(self) -> AsyncIterator[Cleaned]:
        """Remove; yields what each step removed. Safe to cut off and to repeat."""
        for name, old in self._places:
            async for removed in old.remove():
                yield Cleaned(queue=name, state=old.state, jobs=removed)
