"""Tells how a campaign goes, on its job and its row, and pauses one that goes badly."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.engine import Job
from berrante.messaging.campaigns.campaign import Campaign, told_of
from berrante.messaging.campaigns.forecast import expectations, forecast
from berrante.messaging.campaigns.life import Status
from berrante.messaging.campaigns.models import campaign_recipients, campaigns
from berrante.messaging.campaigns.pace import Policy
from berrante.messaging.campaigns.progress import CampaignProgress, count
from berrante.messaging.campaigns.rehearsal_scene import Pace
from berrante.messaging.campaigns.zone_counts import groups_that_fit
from berrante.messaging.contacts.models import contacts
from berrante.messaging.endpoints.emitting import Told, emit, enqueue
from berrante.messaging.endpoints.events import EventType
from berrante.messaging.messages.models import messages
from berrante.messaging.queues import Queues
from berrante.store import Database

_EVERY: Final = timedelta(seconds=2)
#: Counting may take at most one part in so many of the time.
_SHARE: Final = 20
_LEAST_TRIED: Final = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Reactions:
    """How many of those who got the campaign's message left since: opted out, or blocked or barred by WhatsApp."""

    opted_out: int = 0
    blocked: int = 0


async def tell(database: Database, queues: Queues, job: Job, campaign: Campaign, *, now: datetime, pace: Pace) -> bool:
    """Count, if it is time, and store it; return whether the campaign was paused for how it goes."""
    took = timedelta(milliseconds=(campaign.counts or {}).get("counted_in_ms", 0))
    if campaign.counted_at is not None and now - campaign.counted_at < max(_EVERY, took * _SHARE):
        return False
    async with database.begin() as connection:
        begun = (await connection.exec_driver_sql("SELECT clock_timestamp()")).scalar_one()
        progress = await count(connection, campaign.id, at=now)
        reactions = await _reactions(connection, campaign)
        ended = (await connection.exec_driver_sql("SELECT clock_timestamp()")).scalar_one()
        groups = await groups_that_fit(connection, campaign, progress, now=now)
        end = await forecast(connection, campaign, progress, groups, now=now, pace=pace)
        counts = progress.stored() | expectations(groups, end)
        counts["counted_in_ms"] = round((ended - begun).total_seconds() * 1_000)
        mine = update(campaigns).where(campaigns.c.id == campaign.id)
        await connection.execute(mine.values(counts=counts, counted_at=now))
        reason = trouble(progress, reactions, campaign.pace)
        told: list[Told] = []
        if reason is not None:
            paused = mine.where(campaigns.c.status == Status.RUNNING.value)
            done = await connection.execute(
                paused.values(status=Status.PAUSED.value, reason=reason, updated_at=func.now())
            )
            if done.rowcount:
                data = told_of(campaign) | {"reason": reason}
                told = await emit(connection, campaign.organization_id, EventType.CAMPAIGN_PAUSED, data)
    await enqueue(queues, told)
    await job.update_progress(counts | {"counted_at": now.isoformat()})
    return reason is not None


def trouble(progress: CampaignProgress, reactions: Reactions, policy: Policy) -> str | None:
    """Return why a campaign should pause itself; None if it goes well, or too few were tried to tell.

    >>> trouble(CampaignProgress(planned=100, failed=10, sent=10, pending=80), Reactions(), Policy())
    '10 of 20 messages failed, more than 30 %'
    >>> trouble(CampaignProgress(planned=100, sent=20, pending=80), Reactions(opted_out=2), Policy())
    '2 of 20 who got it opted out, 10 % or more'
    """
    tried = progress.accepted + progress.failed
    if tried < _LEAST_TRIED:
        return None
    limit = policy.pause_at_failures
    if limit is not None and progress.failed >= limit * tried:
        return f"{progress.failed} of {tried} messages failed, more than {_percent(limit)}"
    for limit, number, what in (
        (policy.pause_at_opt_outs, reactions.opted_out, "opted out"),
        (policy.pause_at_blocks, reactions.blocked, "are blocked or stopped campaigns at WhatsApp since"),
    ):
        if limit is not None and number and number >= limit * tried:
            return f"{number} of {tried} who got it {what}, {_percent(limit)} or more"
    return None


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


async def _reactions(connection: AsyncConnection, campaign: Campaign) -> Reactions:
    """Count, from the small side: who left since the campaign began, and had its message before."""
    if campaign.started_at is None:
        return Reactions()
    c, r, m = contacts.c, campaign_recipients.c, messages.c
    # After it was written, not sent: WhatsApp's time of an answer is in whole seconds.
    left = c.consent_at > m.created_at
    barred = or_(c.blocked_at > m.created_at, c.suppressed_at > m.created_at)
    query = (
        select(
            func.count().filter(c.consent == "opted_out", left).label("opted_out"),
            func.count().filter(barred).label("blocked"),
        )
        .select_from(contacts)
        .join(messages, m.contact_id == c.id)
        .join(campaign_recipients, r.message_id == m.id)
        .where(
            c.organization_id == campaign.organization_id,
            c.instance_id.in_([name for name, _ in campaign.numbers]),
            or_(
                and_(c.consent == "opted_out", c.consent_at > campaign.started_at),
                c.blocked_at > campaign.started_at,
                c.suppressed_at > campaign.started_at,
            ),
            r.campaign_id == campaign.id,
        )
    )
    row = (await connection.execute(query)).one()
    return Reactions(opted_out=row.opted_out, blocked=row.blocked)
