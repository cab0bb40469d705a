"""Who is a stranger to a number: what WhatsApp limits is writing to those."""

from uuid import UUID

from sqlalchemy import exists, or_, select

from berrante.messaging.contacts.models import contacts
from berrante.messaging.messages.models import messages
from berrante.store import Database

_MET = or_(messages.c.direction == "in", messages.c.status.in_(["sent", "delivered", "read"]))


class Strangers:
    """Tells strangers from contacts that wrote to the number, or took a message of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def is_cold(self, *, organization_id: UUID, instance_id: str, address: str) -> bool:
        """Tell whether the contact is a stranger to the number."""
        known = (
            select(exists().where(messages.c.contact_id == contacts.c.id, _MET))
            .select_from(contacts)
            .where(
                contacts.c.organization_id == organization_id,
                contacts.c.instance_id == instance_id,
                or_(contacts.c.address == address, contacts.c.whatsapp_address == address),
            )
        )
        async with self._database.begin() as connection:
            return not (await connection.execute(known)).scalar()
