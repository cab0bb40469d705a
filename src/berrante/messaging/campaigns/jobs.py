"""The job of the queue ``campaign``: take one campaign a step further."""

from uuid import UUID

from berrante.engine import JobNotInState, NewJob, Queue
from berrante.messaging.campaigns.campaign import Campaign
from berrante.messaging.lost_jobs import LostJobs, Whereabouts
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
    """Return the job of a campaign that is scheduled or runs."""
    data = {"organizationId": str(organization_id), "instanceId": instance_id, "campaignId": str(campaign_id)}
    return NewJob(TICK, data, queue.with_id(tick_id(campaign_id), group=str(organization_id)))


async def rouse(queue: Queue, campaign: Campaign) -> None:
    """Have the campaign's job run now: added, added again after it ended, or woken from its sleep.

    One that runs this very moment may have read the campaign before it was changed; if it ends then, the reconciler
    adds it again within a minute.
    """
    job = tick_job(
        queue,
        organization_id=campaign.organization_id,
        instance_id=campaign.instance_id,
        campaign_id=campaign.id,
    )
    lost = LostJobs(queue)
    (place,) = await lost.whereabouts([tick_id(campaign.id)])
    if place is Whereabouts.GONE:
        await queue.add_bulk([job])
    elif place is not Whereabouts.AT_WORK:
        await lost.add_again(job)
    else:
        try:
            await queue.promote(tick_id(campaign.id))
        except JobNotInState:
            return  # it waits for a worker already, or runs
