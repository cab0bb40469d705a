"""Copies a campaign's plan, and nothing of what became of it."""

from uuid import UUID

from sqlalchemy import Uuid, cast, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.campaigns.campaign import Campaign
from berrante.messaging.campaigns.files import keep_copied
from berrante.messaging.campaigns.life import Status
from berrante.messaging.campaigns.models import campaign_entries, campaign_numbers, campaigns
from berrante.store import new_id


async def copy(connection: AsyncConnection, campaign: Campaign) -> UUID:
    """Store a draft of the same content, pace, numbers and audience; return its id."""
    copy_id = new_id()
    row = {
        "id": copy_id,
        "organization_id": campaign.organization_id,
        "instance_id": campaign.instance_id,
        "name": campaign.name,
        "content": campaign.content.stored(),
        "audience": campaign.audience.stored(),
        "pace": campaign.pace.stored(),
        "reply_automation_id": campaign.reply_automation_id,
        "status": Status.DRAFT.value,
    }
    await connection.execute(insert(campaigns).values(row))
    for table, columns in (
        (campaign_numbers, ("instance_id", "organization_id", "place", "weight")),
        (campaign_entries, ("position", "organization_id", "address", "problem", "params")),
    ):
        rows = select(cast(literal(copy_id), Uuid), *(table.c[each] for each in columns))
        source = rows.where(table.c.campaign_id == campaign.id)
        await connection.execute(insert(table).from_select(["campaign_id", *columns], source))
    await keep_copied(connection, campaign.organization_id, copy_id, campaign.content)
    return copy_id
