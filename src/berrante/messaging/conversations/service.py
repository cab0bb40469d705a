"""Conversations: contacts that wrote, each with its last message, what is unread, and its service window."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, or_, select, tuple_, update

from berrante.engine.connection import system_clock
from berrante.messaging.clock import Clock, moment
from berrante.messaging.contacts.models import contacts
from berrante.messaging.errors import Missing
from berrante.messaging.fields import storable
from berrante.messaging.messages.models import messages
from berrante.messaging.messages.service import Message, Messages
from berrante.store import Database

#: Meta's customer service window: free text may answer a contact for so long after it wrote.
WINDOW: Final = timedelta(hours=24)


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """One contact that wrote. ``unread`` counts its messages that came since ``mark_read``, up to 1,000."""

    contact_id: UUID
    instance_id: str
    address: str
    name: str | None
    last_message_id: UUID
    last_message_direction: str
    last_message_content: Mapping[str, Any]
    last_message_created_at: datetime
    wrote_at: datetime
    unread: int
    window_open_until: datetime | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of conversations ends."""

    wrote_at: datetime
    contact_id: UUID


class Conversations:
    """Lists and reads conversations."""

    def __init__(self, database: Database, clock: Clock = system_clock) -> None:
        self._database = database
        self._clock = clock

    async def list(
        self,
        organization_id: UUID,
        *,
        limit: int = 50,
        after: Place | None = None,
        instance_id: str | None = None,
    ) -> list[Conversation]:
        """Return the conversations whose contacts wrote last, first."""
        last = (
            select(messages.c.id, messages.c.direction, messages.c.content, messages.c.created_at)
            .where(messages.c.contact_id == contacts.c.id)
            .order_by(messages.c.id.desc())
            .limit(1)
            .lateral("last")
        )
        news = (
            select(messages.c.id)
            .where(
                messages.c.contact_id == contacts.c.id,
                messages.c.direction == "in",
                or_(contacts.c.read_until.is_(None), messages.c.created_at > contacts.c.read_until),
            )
            .limit(1_000)
            .correlate(contacts)
            .subquery("news")
        )
        query = (
            select(
                contacts.c.id,
                contacts.c.instance_id,
                contacts.c.address,
                contacts.c.name,
                contacts.c.last_message_at,
                last.c.id.label("message_id"),
                last.c.direction,
                last.c.content,
                last.c.created_at,
                select(func.count()).select_from(news).scalar_subquery().label("unread"),
            )
            .join(last, last.c.id.is_not(None))
            .where(contacts.c.organization_id == organization_id, contacts.c.last_message_at.is_not(None))
            .order_by(contacts.c.last_message_at.desc(), contacts.c.id.desc())
            .limit(limit)
        )
        if instance_id is not None:
            query = query.where(contacts.c.instance_id == storable(instance_id))
        if after is not None:
            query = query.where(
                tuple_(contacts.c.last_message_at, contacts.c.id) < tuple_(after.wrote_at, after.contact_id)
            )
        async with self._database.tenant(organization_id) as connection:
            return [self._conversation(row) for row in await connection.execute(query)]

    async def messages(
        self, organization_id: UUID, instance_id: str, contact_id: UUID, *, limit: int = 50, before: UUID | None = None
    ) -> Sequence[Message]:
        """Return what was said with a contact, newest first. Raises ``Missing``."""
        await self._own(organization_id, instance_id, contact_id)
        return await Messages(self._database).list(organization_id, limit, before, instance_id, contact_id)

    async def mark_read(self, organization_id: UUID, instance_id: str, contact_id: UUID) -> None:
        """Count nothing that has come so far as unread. Raises ``Missing``."""
        statement = (
            update(contacts)
            .where(
                contacts.c.organization_id == organization_id,
                contacts.c.instance_id == storable(instance_id),
                contacts.c.id == contact_id,
                contacts.c.erased_at.is_(None),
            )
            # GREATEST passes over nulls: two that read at once leave the later mark.
            .values(read_until=func.greatest(contacts.c.read_until, moment(self._clock())))
        )
        async with self._database.tenant(organization_id) as connection:
            if (await connection.execute(statement)).rowcount == 0:
                raise Missing("contact", contact_id)

    async def _own(self, organization_id: UUID, instance_id: str, contact_id: UUID) -> None:
        query = select(contacts.c.id).where(
            contacts.c.organization_id == organization_id,
            contacts.c.instance_id == storable(instance_id),
            contacts.c.id == contact_id,
        )
        async with self._database.tenant(organization_id) as connection:
            if (await connection.execute(query)).one_or_none() is None:
                raise Missing("contact", contact_id)

    def _conversation(self, row: Any) -> Conversation:  # noqa: ANN401  a database row
        until = row.last_message_at + WINDOW
        return Conversation(
            contact_id=row.id,
            instance_id=row.instance_id,
            address=row.address,
            name=row.name,
            last_message_id=row.message_id,
            last_message_direction=row.direction,
            last_message_content=row.content,
            last_message_created_at=row.created_at,
            wrote_at=row.last_message_at,
            unread=row.unread,
            window_open_until=until if until > moment(self._clock()) else None,
        )
