"""How the queues stand."""

import asyncio

from berrante.engine import Queue, State
from berrante.engine.queue_state import QueueState, queue_states
from berrante.messaging.queues import QueueName, Queues
from berrante.web.health.check import Report


async def counts(queues: Queues) -> dict[str, Report]:
    """Return how many jobs each queue has in each state, and whether it is paused."""
    names = list(QueueName)
    reports = await asyncio.gather(*(_counts(queues[name]) for name in names))
    return {name.value: report for name, report in zip(names, reports, strict=True)}


async def queue_report(queues: Queues) -> Report:
    """Report counts, and what operators watch beside them."""
    names = list(QueueName)
    states = await queue_states([queues[name] for name in names])
    return {"queues": {name.value: _state(state) for name, state in zip(names, states, strict=True)}}


async def _counts(queue: Queue) -> Report:
    numbers, paused = await asyncio.gather(queue.counts(), queue.is_paused())
    return {**_shown(numbers), "paused": paused}


def _state(state: QueueState) -> Report:
    oldest = state.oldest_waiting_ms
    return {
        **_shown(dict(state.counts)),
        "paused": state.paused,
        "oldest_waiting_s": None if oldest is None else round(oldest / 1_000, 1),
        "stalled": state.stalled,
        "workers": state.workers,
        "completed_per_minute": state.completed_per_minute,
        "failed_per_minute": state.failed_per_minute,
    }


def _shown(numbers: dict[State, int]) -> Report:
    # Berrante's jobs have no children; Bull Board shows the state all the same.
    return {state.value: number for state, number in numbers.items() if state is not State.WAITING_CHILDREN or number}
