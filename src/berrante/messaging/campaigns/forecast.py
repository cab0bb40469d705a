"""Gathers what an expected end depends on: who is pending where, what the numbers do now, and what they may."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.campaigns.campaign import Campaign
from berrante.messaging.campaigns.expected_end import Live, expected_end
from berrante.messaging.campaigns.progress import CampaignProgress
from berrante.messaging.campaigns.rehearsal import Group, Part
from berrante.messaging.campaigns.rehearsal_scene import Pace, numbers_of, slots_of


async def forecast(
    connection: AsyncConnection,
    campaign: Campaign,
    progress: CampaignProgress,
    groups: Sequence[Group],
    *,
    now: datetime,
    pace: Pace,
) -> datetime | None:
    """Return when a running campaign's last message is expected to go out; None if that takes more than a year."""
    part = Part(
        groups=groups,
        policy=campaign.pace.at(pace.per_minute),
        begins=now,
        begun=(campaign.started_at or now).astimezone(campaign.pace.own_zone).date(),
        slots=await slots_of(connection, campaign),
    )
    numbers = await numbers_of(connection, [name for name, _ in campaign.numbers], now=now, pace=pace)
    live = {
        name: Live(in_lane=counts.queued + counts.sending, per_minute=progress.rates.get(name))
        for name, counts in progress.by_number.items()
        if counts.open
    }
    return expected_end(part, now=now, numbers=numbers, live=live)


def expectations(groups: Sequence[Group], end: datetime | None) -> dict[str, Any]:
    """Return as JSON who is pending by zone, and when the campaign is expected to end."""
    zones: dict[str, int] = {}
    for group in sorted(groups, key=lambda each: each.zone):
        zones[group.zone] = zones.get(group.zone, 0) + group.count
    return {"pending_by_zone": zones, "expected_end": end.isoformat() if end is not None else None}
