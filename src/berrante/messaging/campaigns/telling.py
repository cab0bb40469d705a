"""Tells how a campaign goes, on its job and its row, and pauses one that goes badly."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, update

from berrante.engine import Job
from berrante.messaging.campaigns.campaign import Campaign
from berrante.messaging.campaigns.life import Status
from berrante.messaging.campaigns.models import campaigns
from berrante.messaging.campaigns.progress import CampaignProgress, count
from berrante.store import Database

_EVERY: Final = timedelta(seconds=2)
#: Counting may take at most one part in so many of the time.
_SHARE: Final = 20
_LEAST_TRIED: Final = 20


async def tell(database: Database, job: Job, campaign: Campaign, *, now: datetime) -> bool:
    """Count, if it is time, and store it; return whether the campaign was paused for its failures."""
    took = timedelta(milliseconds=(campaign.counts or {}).get("counted_in_ms", 0))
    if campaign.counted_at is not None and now - campaign.counted_at < max(_EVERY, took * _SHARE):
        return False
    async with database.begin() as connection:
        begun = (await connection.exec_driver_sql("SELECT clock_timestamp()")).scalar_one()
        progress = await count(connection, campaign.id, at=now)
        ended = (await connection.exec_driver_sql("SELECT clock_timestamp()")).scalar_one()
        counts = progress.stored() | {"counted_in_ms": round((ended - begun).total_seconds() * 1_000)}
        mine = update(campaigns).where(campaigns.c.id == campaign.id)
        await connection.execute(mine.values(counts=counts, counted_at=now))
        reason = too_many_failures(progress, campaign.pace.pause_at_failures)
        if reason is not None:
            paused = mine.where(campaigns.c.status == Status.RUNNING.value)
            await connection.execute(paused.values(status=Status.PAUSED.value, reason=reason, updated_at=func.now()))
    await job.update_progress(counts | {"counted_at": now.isoformat()})
    return reason is not None


def too_many_failures(progress: CampaignProgress, limit: float | None) -> str | None:
    """Return why a campaign should pause itself; None if it goes well, or too few were tried to tell.

    >>> too_many_failures(CampaignProgress(planned=100, failed=10, sent=10, pending=80), 0.3)
    '10 of 20 messages failed, more than 30 %'
    """
    tried = progress.accepted + progress.failed
    if limit is None or tried < _LEAST_TRIED or progress.failed < limit * tried:
        return None
    return f"{progress.failed} of {tried} messages failed, more than {limit:.0%}".replace("%", " %")
