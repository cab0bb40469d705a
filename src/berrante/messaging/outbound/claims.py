"""The compare-and-set by which one worker has a message, and what it stores when it is done."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import case, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.gateways.protocol import Accepted, SendError
from berrante.messaging.campaigns.models import campaign_recipients, campaigns
from berrante.messaging.clock import moment
from berrante.messaging.contacts.models import contacts
from berrante.messaging.messages.models import messages
from berrante.messaging.messages.origin import Origin
from berrante.messaging.messages.status import MessageStatus, below
from berrante.store import Database


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """An outgoing message, locked within the transaction that found it."""

    id: UUID
    wire_id: str
    address: str
    contact_id: UUID
    origin: Origin
    last_wrote_at: datetime | None
    status: MessageStatus
    content: Mapping[str, Any]
    attempts: int
    updated_at: datetime
    called_off: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to store what came of a send: void once another worker claims the message, or a receipt settles it."""

    message_id: UUID
    at: datetime


async def find(
    connection: AsyncConnection, *, organization_id: UUID, instance_id: str, message_id: UUID
) -> Found | None:
    """Lock an organization's outgoing message and return it."""
    query = (
        select(
            messages,
            contacts.c.address,
            contacts.c.last_message_at,
            campaigns.c.status.label("campaign_status"),
        )
        .join(contacts, contacts.c.id == messages.c.contact_id)
        .outerjoin(campaign_recipients, campaign_recipients.c.message_id == messages.c.id)
        .outerjoin(campaigns, campaigns.c.id == campaign_recipients.c.campaign_id)
        .where(
            messages.c.id == message_id,
            messages.c.organization_id == organization_id,
            messages.c.instance_id == instance_id,
            messages.c.direction == "out",
        )
        .with_for_update(of=messages, key_share=True)
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    return Found(
        id=row.id,
        wire_id=row.wire_id,
        address=row.address,
        contact_id=row.contact_id,
        origin=Origin(row.origin),
        last_wrote_at=row.last_message_at,
        status=MessageStatus(row.status),
        content=row.content,
        attempts=row.attempts,
        updated_at=row.updated_at,
        called_off=row.campaign_status == "cancelled",
    )


async def claim(connection: AsyncConnection, found: Found, *, now_ms: int) -> Claim:
    """Make the message ours; the transaction that locked it must still be open."""
    # Every claim differs from the one before, even within a millisecond: it is the fence against a late worker.
    at = max(moment(now_ms), found.updated_at + timedelta(microseconds=1))
    values: dict[str, Any] = {"status": MessageStatus.SENDING.value, "updated_at": at}
    if found.status is MessageStatus.FAILED:  # a person's second chance
        values |= {"attempts": 0, "failure_code": None, "failure_reason": None}
    await connection.execute(update(messages).where(messages.c.id == found.id).values(values))
    return Claim(found.id, at)


async def settle(
    connection: AsyncConnection,
    found: Found,
    status: MessageStatus,
    *,
    now_ms: int,
    reason: str,
    code: str | None = None,
) -> None:
    """Give a locked message its last status without sending it."""
    values = {
        "status": status.value,
        "updated_at": moment(now_ms),
        "failure_code": code,
        "failure_reason": reason,
    }
    await connection.execute(update(messages).where(messages.c.id == found.id).values(values))


class Outcomes:
    """Stores what came of a claimed send."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def accepted(self, claim: Claim, accepted: Accepted, *, now_ms: int) -> None:
        """Store that WhatsApp took the message: a fact, whoever holds the claim now. A higher status stays."""
        lower = [status.value for status in below(MessageStatus.SENT)]
        values = {
            "provider_id": accepted.provider_id,
            "sent_at": func.coalesce(messages.c.sent_at, moment(accepted.accepted_at_ms)),
            "status": case((messages.c.status.in_(lower), MessageStatus.SENT.value), else_=messages.c.status),
            "updated_at": moment(now_ms),
        }
        async with self._database.begin() as connection:
            await connection.execute(update(messages).where(messages.c.id == claim.message_id).values(values))

    async def released(self, claim: Claim, error: SendError, *, charged: bool, now_ms: int) -> None:
        """Queue the message again."""
        await self._close(claim, MessageStatus.QUEUED, error=error, charged=charged, now_ms=now_ms)

    async def failed(self, claim: Claim, error: SendError, *, charged: bool, now_ms: int) -> None:
        """Fail the message."""
        await self._close(claim, MessageStatus.FAILED, error=error, charged=charged, now_ms=now_ms)

    async def in_doubt(self, claim: Claim, reason: str, *, now_ms: int) -> None:
        """Say that nobody knows."""
        values = {"failure_reason": reason}
        await self._update(claim, MessageStatus.IN_DOUBT, values, now_ms=now_ms)

    async def _close(
        self, claim: Claim, status: MessageStatus, *, error: SendError, charged: bool, now_ms: int
    ) -> None:
        values = {
            "failure_code": error.code,
            "failure_reason": str(error),
            "attempts": messages.c.attempts + int(charged),
        }
        await self._update(claim, status, values, now_ms=now_ms)

    async def _update(self, claim: Claim, status: MessageStatus, values: dict[str, Any], *, now_ms: int) -> None:
        statement = (
            update(messages)
            .where(
                messages.c.id == claim.message_id,
                messages.c.status == MessageStatus.SENDING.value,
                messages.c.updated_at == claim.at,
            )
            .values(status=status.value, updated_at=moment(now_ms), **values)
        )
        async with self._database.begin() as connection:
            await connection.execute(statement)
