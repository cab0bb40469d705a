"""The job of the queue ``webhook``: one delivery is due. It carries ids alone."""

from dataclasses import replace
from uuid import UUID

from berrante.engine import NewJob, Queue
from berrante.messaging.payloads import Payload

DELIVER = "deliver"


class DeliverPayload(Payload, frozen=True, kw_only=True):
    """``round`` counts the replays: the job of an earlier round has nothing to do any more."""

    organization_id: UUID
    endpoint_id: UUID
    delivery_id: UUID
    round: int = 0


def lane(endpoint_id: UUID) -> str:
    """Return the name of an endpoint's lane: the group of its jobs, served in turn with all others."""
    return f"endpoint-{endpoint_id}"


def deliver_id(delivery_id: UUID, round_: int) -> str:
    """Return the id of a delivery's job."""
    return f"deliver-{delivery_id}-{round_}"


def deliver_job(
    queue: Queue, *, organization_id: UUID, endpoint_id: UUID, delivery_id: UUID, round_: int = 0, delay_ms: int = 0
) -> NewJob:
    """Return the job of a delivery."""
    data = {
        "organizationId": str(organization_id),
        "endpointId": str(endpoint_id),
        "deliveryId": str(delivery_id),
        "round": round_,
    }
    options = queue.with_id(deliver_id(delivery_id, round_))
    options = replace(options, delay_ms=max(0, delay_ms), group=lane(endpoint_id))
    return NewJob(DELIVER, data, options)
