"""Contacts in the database."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.contacts.models import contacts
from berrante.store import new_id


async def remember(
    connection: AsyncConnection,
    *,
    organization_id: UUID,
    instance_id: str,
    address: str,
    at: datetime,
    name: str | None = None,
    wrote_at: datetime | None = None,
) -> UUID:
    """Return the contact of a canonical address, made if new; a later name or message is remembered.

    The instance must be the organization's own: the tables refuse a row that crosses tenants.
    """
    row = {
        "id": new_id(),
        "organization_id": organization_id,
        "instance_id": instance_id,
        "address": address,
        "name": name,
        "first_seen_at": at,
        "last_message_at": wrote_at,
    }
    new = insert(contacts).values(row)
    statement = new.on_conflict_do_update(
        index_elements=["instance_id", "address"],
        set_={
            "name": func.coalesce(new.excluded.name, contacts.c.name),
            # GREATEST passes over nulls: a campaign's mention does not forget when the contact wrote.
            "last_message_at": func.greatest(contacts.c.last_message_at, new.excluded.last_message_at),
        },
    ).returning(contacts.c.id)
    contact_id: UUID = (await connection.execute(statement)).scalar_one()
    return contact_id
