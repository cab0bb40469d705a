"""A campaign's messages that wait in the lanes of its numbers: the window, read from rows and mended from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.engine import NewJob
from berrante.messaging.campaigns.campaign import Campaign
from berrante.messaging.campaigns.models import QUEUED, SENDING, campaign_recipients
from berrante.messaging.campaigns.number_hours import NumberHours
from berrante.messaging.campaigns.pace import zone_of
from berrante.messaging.lost_jobs import LostJobs, Whereabouts
from berrante.messaging.messages.models import messages
from berrante.messaging.messages.origin import Origin
from berrante.messaging.outbound.jobs import send_job
from berrante.messaging.queues import Queues

#: A queued message that nothing happened to for so long may have no job: it was held, or its process was killed.
STALE: Final = timedelta(seconds=5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """One message in a lane."""

    message_id: UUID
    instance_id: str
    status: str
    updated_at: datetime
    position: int
    address: str
    zone: str | None
    send_until: datetime | None


async def waiting(connection: AsyncConnection, campaign: Campaign) -> list[Waiting]:
    """Return the campaign's queued and sending messages: a window's worth, however large the campaign."""
    r, m = campaign_recipients.c, messages.c
    zone_field = campaign.pace.zone_field
    query = (
        select(
            m.id.label("message_id"),
            r.instance_id,
            m.status,
            m.updated_at,
            r.position,
            r.address,
            r.params["fields"][zone_field or ""].astext.label("zone"),
            r.send_until,
        )
        .join(campaign_recipients, r.message_id == m.id)
        .where(
            # The partial index of open messages is small; the campaign's own rows are not.
            m.status.in_([QUEUED, SENDING]),
            m.instance_id.in_([name for name, _ in campaign.numbers]),
            r.campaign_id == campaign.id,
        )
    )
    return [Waiting(**row._mapping) for row in await connection.execute(query)]


async def stale(
    connection: AsyncConnection,
    campaign: Campaign,
    found: Sequence[Waiting],
    hours: Mapping[str, NumberHours],
    *,
    now: datetime,
) -> list[Waiting]:
    """Return those that may be sent now and may have no job; each is given the hours that it may be sent in."""
    old = [each for each in found if each.status == "queued" and each.updated_at < now - STALE]
    allowed, renewed = [], []
    for each in old:
        span = campaign.pace.calendar.span(
            now, zone_of(each.address, given=each.zone, otherwise=campaign.pace.own_zone)
        )
        number = hours.get(each.instance_id)
        if span.allowed and number is not None and number.allowed:
            allowed.append(each)
            renewed.append({"p": each.position, "until": min(span.until, number.until)})
    if renewed:
        statement = (
            update(campaign_recipients)
            .where(campaign_recipients.c.campaign_id == campaign.id, campaign_recipients.c.position == bindparam("p"))
            .values(send_until=bindparam("until"))
        )
        await connection.execute(statement, renewed)
    return allowed


def job_of(queues: Queues, campaign: Campaign, instance_id: str, message_id: UUID) -> NewJob:
    """Return the job that sends one of the campaign's messages."""
    return send_job(
        queues.outbound,
        organization_id=campaign.organization_id,
        instance_id=instance_id,
        message_id=message_id,
        priority=Origin.CAMPAIGN.priority,
    )


async def restore(queues: Queues, campaign: Campaign, found: Sequence[Waiting]) -> int:
    """Give these messages their jobs back where they are gone, or ended without sending; return how many."""
    jobs = [job_of(queues, campaign, each.instance_id, each.message_id) for each in found]
    if not jobs:
        return 0
    lost = LostJobs(queues.outbound)
    ids = [job.options.job_id or "" for job in jobs if job.options is not None]
    places = await lost.whereabouts(ids)
    gone = [job for job, place in zip(jobs, places, strict=True) if place is Whereabouts.GONE]
    await queues.outbound.add_bulk(gone)
    again = [job for job, place in zip(jobs, places, strict=True) if place is Whereabouts.COMPLETED]
    return len(gone) + sum([await lost.add_again(job) for job in again])
