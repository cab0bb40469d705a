"""Where gateways hand in what happened: every event becomes a job, durable before this returns."""

from collections.abc import Sequence

from berrante.gateways.protocol import Event
from berrante.messaging.messages.jobs import job_of
from berrante.messaging.queues import Queues


async def handle_incoming_message(event: Event, queues: Queues) -> str:
    """Add the event to the queue ``message`` and return the job's id.

    An event that was handed in before is the same job and changes nothing. Raises if Redis did not take it.
    """
    (job_id,) = await queues.message.add_bulk([job_of(event, queues.message)])
    return job_id


class Intake:
    """The ``EventSink`` of all gateways."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    async def __call__(self, events: Sequence[Event]) -> None:
        """Add all events in order; a thousand are added wholly or not at all, and adding again is harmless."""
        if events:
            await self._queues.message.add_bulk([job_of(event, self._queues.message) for event in events])
