"""What a number did for campaigns on a day: the row by which caps hold for all of them together."""

from datetime import date
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.campaigns.models import campaign_days


async def done_on(
    connection: AsyncConnection, *, organization_id: UUID, instance_id: str, day: date
) -> tuple[int, int]:
    """Return messages, and first contacts, of the day; the row is ours until the transaction ends."""
    new = insert(campaign_days).values(
        instance_id=instance_id, day=day, organization_id=organization_id, written=0, first_contacts=0
    )
    await connection.execute(new.on_conflict_do_nothing())
    query = select(campaign_days.c.written, campaign_days.c.first_contacts).where(
        campaign_days.c.instance_id == instance_id, campaign_days.c.day == day
    )
    row = (await connection.execute(query.with_for_update())).one()
    return row.written, row.first_contacts


async def add(connection: AsyncConnection, *, instance_id: str, day: date, written: int, first_contacts: int) -> None:
    """Count what was written now."""
    statement = campaign_days.update().where(campaign_days.c.instance_id == instance_id, campaign_days.c.day == day)
    await connection.execute(
        statement.values(
            written=campaign_days.c.written + written,
            first_contacts=campaign_days.c.first_contacts + first_contacts,
        )
    )
