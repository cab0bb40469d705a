"""The job of the queue ``campaign``: write to the next recipient."""

from dataclasses import replace
from uuid import UUID

from berrante.engine import NewJob, Queue
from berrante.messaging.payloads import Payload

TICK = "tick"


class TickPayload(Payload, frozen=True, kw_only=True):
    """Which campaign."""

    organization_id: UUID
    instance_id: str
    campaign_id: UUID


def tick_id(campaign_id: UUID) -> str:
    """Return the id of a campaign's job: there is one at a time."""
    return f"campaign-{campaign_id}"


def tick_job(queue: Queue, *, organization_id: UUID, instance_id: str, campaign_id: UUID) -> NewJob:
    """Return the job of a running campaign."""
    data = {"organizationId": str(organization_id), "instanceId": instance_id, "campaignId": str(campaign_id)}
    return NewJob(TICK, data, replace(queue.with_id(tick_id(campaign_id)), group=str(organization_id)))
