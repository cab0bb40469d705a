"""How many of a campaign are pending in each zone: counted once from the frozen rows, then counted down by ticks."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.campaigns.campaign import Campaign, load
from berrante.messaging.campaigns.models import campaign_zones, campaigns
from berrante.messaging.campaigns.progress import CampaignProgress
from berrante.messaging.campaigns.rehearsal import Group
from berrante.messaging.campaigns.rehearsal_scene import groups_left

_z = campaign_zones.c


async def pending_groups(connection: AsyncConnection, campaign_id: UUID) -> list[Group]:
    """Return who is pending, by what the scheduler knows of them; nobody, if nobody counted."""
    query = select(_z.instance_id, _z.zone, _z.stranger, _z.pending.label("count"))
    found = await connection.execute(query.where(_z.campaign_id == campaign_id, _z.pending > 0))
    return [Group(**row._mapping) for row in found]


async def groups_that_fit(
    connection: AsyncConnection, campaign: Campaign, progress: CampaignProgress, *, now: datetime
) -> list[Group]:
    """Return who is pending, counted anew if it does not fit what was just counted: after a retry, an erasure."""
    groups = await pending_groups(connection, campaign.id)
    if _by_number(groups) == {name: counts.pending for name, counts in progress.by_number.items() if counts.pending}:
        return groups
    # Under the campaign's lock: no tick counts down meanwhile.
    (campaign,) = await load(connection, campaigns.c.id == campaign.id, locked=True)
    groups, _ = await groups_left(connection, campaign, now=now)
    await forget_zones(connection, campaign.id)
    own = {"campaign_id": campaign.id, "organization_id": campaign.organization_id}
    rows = [
        own | {"instance_id": each.instance_id, "zone": each.zone, "stranger": each.stranger, "pending": each.count}
        for each in groups
    ]
    if rows:
        await connection.execute(insert(campaign_zones), rows)
    return groups


async def forget_zones(connection: AsyncConnection, campaign_id: UUID) -> None:
    """Have them counted anew: zones are read in another way now. The caller holds the campaign's lock."""
    await connection.execute(delete(campaign_zones).where(_z.campaign_id == campaign_id))


async def count_down(
    connection: AsyncConnection, campaign_id: UUID, instance_id: str, by: Mapping[tuple[str, bool], int]
) -> None:
    """Take off those of a number who are pending no more, by zone. The caller holds the campaign's lock."""
    if not by:
        return
    statement = update(campaign_zones).where(
        _z.campaign_id == campaign_id,
        _z.instance_id == instance_id,
        _z.zone == bindparam("in_zone"),
        _z.stranger == bindparam("cold"),
    )
    rows = [{"in_zone": zone, "cold": cold, "n": number} for (zone, cold), number in by.items()]
    await connection.execute(statement.values(pending=_z.pending - bindparam("n")), rows)


def _by_number(groups: Sequence[Group]) -> dict[str, int]:
    found: dict[str, int] = {}
    for group in groups:
        found[group.instance_id] = found.get(group.instance_id, 0) + group.count
    return found
