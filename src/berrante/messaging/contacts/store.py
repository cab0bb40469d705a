"""Contacts in the database."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import case, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.addresses import kind_of
from berrante.messaging.contacts.consent import inherited
from berrante.messaging.contacts.details import name_key
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
    written: str | None = None,
) -> UUID:
    """Return the contact of a canonical address, made if new; a later name or message is remembered.

    ``name`` is what the contact goes by; a name that the organization gave stays. ``written`` is the address as
    WhatsApp wrote it: where that is another spelling, it is the one that is written back to.
    The instance must be the organization's own: the tables refuse a row that crosses tenants.
    """
    row = {
        "id": new_id(),
        "organization_id": organization_id,
        "instance_id": instance_id,
        "address_kind": kind_of(address).value,
        "address": address,
        "whatsapp_address": written if written != address else None,
        "name": name,
        "name_key": name_key(name) if name else None,
        "consent": inherited(organization_id, address),
        "first_seen_at": at,
        "last_message_at": wrote_at,
    }
    new = insert(contacts).values(row)
    keeps_name = contacts.c.name_given | new.excluded.name.is_(None)
    changes = {
        "name": case((keeps_name, contacts.c.name), else_=new.excluded.name),
        "name_key": case((keeps_name, contacts.c.name_key), else_=new.excluded.name_key),
        # GREATEST passes over nulls: a campaign's mention does not forget when the contact wrote.
        "last_message_at": func.greatest(contacts.c.last_message_at, new.excluded.last_message_at),
    }
    if written is not None:
        changes["whatsapp_address"] = new.excluded.whatsapp_address
    statement = new.on_conflict_do_update(index_elements=["instance_id", "address"], set_=changes)
    contact_id: UUID = (await connection.execute(statement.returning(contacts.c.id))).scalar_one()
    return contact_id
