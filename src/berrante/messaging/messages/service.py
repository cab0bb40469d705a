"""Messages as an organization reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import RowMapping, Select, select

from berrante.messaging.contacts.models import contacts
from berrante.messaging.errors import Invalid
from berrante.messaging.instances.tenancy import is_instance_id
from berrante.messaging.messages.models import messages
from berrante.messaging.messages.status import MessageStatus
from berrante.store import Database

_MOST: Final = 500
#: The trace of a send is nobody's business but the tracer's.
_SHOWN: Final = tuple(column for column in messages.c if column is not messages.c.trace_context)


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One message; ``address`` is the contact's, and ``content`` of a text is ``{"type": "text", "text": "…"}``."""

    id: UUID
    organization_id: UUID
    instance_id: str
    contact_id: UUID
    address: str
    direction: str
    origin: str
    wire_id: str
    provider_id: str | None
    status: MessageStatus
    content: Mapping[str, Any]
    failure_code: str | None
    failure_reason: str | None
    attempts: int
    priority: int
    created_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None
    updated_at: datetime


class Messages:
    """Finds messages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, organization_id: UUID, message_id: UUID) -> Message | None:
        """Return one of an organization's messages, or None."""
        query = _owned(organization_id).where(messages.c.id == message_id)
        async with self._database.tenant(organization_id) as connection:
            row = (await connection.execute(query)).one_or_none()
        return _message(row._mapping) if row else None

    async def list(
        self,
        organization_id: UUID,
        limit: int = 50,
        before: UUID | None = None,
        instance_id: str | None = None,
        contact_id: UUID | None = None,
    ) -> list[Message]:
        """Return up to ``limit`` (1 to 500) messages, newest first, those older than the id ``before``."""
        if not 1 <= limit <= _MOST:
            raise Invalid("limit", f"is {limit}", remedy=f"give 1 to {_MOST}")
        query = _owned(organization_id).order_by(messages.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(messages.c.id < before)
        if instance_id is not None:
            if not is_instance_id(instance_id):
                return []
            query = query.where(messages.c.instance_id == instance_id)
        if contact_id is not None:
            query = query.where(messages.c.contact_id == contact_id)
        async with self._database.tenant(organization_id) as connection:
            return [_message(row._mapping) for row in await connection.execute(query)]


def _owned(organization_id: UUID) -> Select[Any]:
    return (
        select(*_SHOWN, contacts.c.address)
        .join(contacts, contacts.c.id == messages.c.contact_id)
        .where(messages.c.organization_id == organization_id)
    )


def _message(row: RowMapping) -> Message:
    return Message(**{**row, "status": MessageStatus(row["status"])})
