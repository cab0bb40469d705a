"""The compare-and-set by which one worker has a message, and what it stores when it is done."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.gateways.protocol import Accepted, Action, SendError
from berrante.messaging.campaigns.models import campaign_recipients, campaigns
from berrante.messaging.campaigns.winding_down import CANCELLED
from berrante.messaging.clock import moment
from berrante.messaging.contacts.consent import suppress
from berrante.messaging.contacts.models import contacts
from berrante.messaging.endpoints.emitting import Told, emit_all, enqueue
from berrante.messaging.endpoints.messages import became
from berrante.messaging.messages.models import messages
from berrante.messaging.messages.origin import Origin
from berrante.messaging.messages.status import MessageStatus, below
from berrante.messaging.queues import Queues
from berrante.store import Database

REPLACED: Final = "a new attempt took its place, or its campaign is gone"

# Made once: every send asks them, and to build a statement takes longer than to have it answered.
_FIND: Final = (
    select(
        messages,
        # Where WhatsApp has another spelling of the number, it is told its own.
        func.coalesce(contacts.c.whatsapp_address, contacts.c.address).label("address"),
        contacts.c.last_message_at,
        campaigns.c.status.label("campaign_status"),
        campaign_recipients.c.send_until,
    )
    .join(contacts, contacts.c.id == messages.c.contact_id)
    .outerjoin(campaign_recipients, campaign_recipients.c.message_id == messages.c.id)
    .outerjoin(campaigns, campaigns.c.id == campaign_recipients.c.campaign_id)
    .where(
        messages.c.id == bindparam("own_id"),
        messages.c.organization_id == bindparam("own_organization_id"),
        messages.c.instance_id == bindparam("own_instance_id"),
        messages.c.direction == "out",
    )
    .with_for_update(of=messages, key_share=True)
)
_OWN: Final = update(messages).where(messages.c.id == bindparam("own_id"))
_TAKEN: Final = {
    "provider_id": bindparam("took_as"),
    "sent_at": func.coalesce(messages.c.sent_at, bindparam("took_at")),
    "updated_at": bindparam("at"),
}
_RISE: Final = _OWN.where(messages.c.status.in_([status.value for status in below(MessageStatus.SENT)])).values(
    status=MessageStatus.SENT.value, **_TAKEN
)
_KEEP: Final = _OWN.values(_TAKEN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """An outgoing message, locked within the transaction that found it."""

    id: UUID
    organization_id: UUID
    instance_id: str
    wire_id: str
    address: str
    contact_id: UUID
    origin: Origin
    last_wrote_at: datetime | None
    status: MessageStatus
    content: Mapping[str, Any]
    attempts: int
    priority: int
    created_at: datetime
    updated_at: datetime
    #: Why it is not to be sent any more, if it is not.
    called_off: str | None
    on_hold: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to store what came of a send: void once another worker claims the message, or a receipt settles it."""

    message_id: UUID
    at: datetime
    organization_id: UUID
    instance_id: str
    contact_id: UUID
    wire_id: str


async def find(
    connection: AsyncConnection, *, organization_id: UUID, instance_id: str, message_id: UUID, now_ms: int
) -> Found | None:
    """Lock an organization's outgoing message and return it, with what its campaign says of it now."""
    own = {"own_id": message_id, "own_organization_id": organization_id, "own_instance_id": instance_id}
    row = (await connection.execute(_FIND, own)).one_or_none()
    if row is None:
        return None
    return Found(
        id=row.id,
        organization_id=row.organization_id,
        instance_id=row.instance_id,
        wire_id=row.wire_id,
        address=row.address,
        contact_id=row.contact_id,
        origin=Origin(row.origin),
        last_wrote_at=row.last_message_at,
        status=MessageStatus(row.status),
        content=row.content,
        attempts=row.attempts,
        priority=row.priority,
        created_at=row.created_at,
        updated_at=row.updated_at,
        called_off=_called_off(row.origin, row.campaign_status),
        on_hold=row.campaign_status not in {None, "running", "finished"}
        or (row.send_until is not None and row.send_until <= moment(now_ms)),
    )


def _called_off(origin: str, campaign_status: str | None) -> str | None:
    if campaign_status == "cancelled":
        return CANCELLED
    if origin == Origin.CAMPAIGN and campaign_status is None:  # sending it would be a second
        return REPLACED
    return None


async def claim(connection: AsyncConnection, found: Found, *, now_ms: int, trace_context: str | None = None) -> Claim:
    """Make the message ours; the transaction that locked it must still be open.

    ``trace_context`` is kept, so that receipts join the trace of the send.
    """
    # Every claim differs from the one before, even within a millisecond: it is the fence against a late worker.
    at = max(moment(now_ms), found.updated_at + timedelta(microseconds=1))
    values: dict[str, Any] = {"status": MessageStatus.SENDING.value, "updated_at": at}
    if found.status is MessageStatus.FAILED:  # a person's second chance
        values |= {"attempts": 0, "failure_code": None, "failure_reason": None}
    if trace_context is not None:
        values["trace_context"] = trace_context
    await connection.execute(update(messages).where(messages.c.id == found.id).values(values))
    return Claim(found.id, at, found.organization_id, found.instance_id, found.contact_id, found.wire_id)


async def settle(
    connection: AsyncConnection,
    found: Found,
    status: MessageStatus,
    *,
    now_ms: int,
    reason: str,
    code: str | None = None,
) -> list[Told]:
    """Give a locked message its last status without sending it; what is skipped is told by whoever called it off."""
    values = {
        "status": status.value,
        "updated_at": moment(now_ms),
        "failure_code": code,
        "failure_reason": reason,
    }
    await connection.execute(update(messages).where(messages.c.id == found.id).values(values))
    if status is MessageStatus.SKIPPED:
        return []
    return await became(
        connection,
        organization_id=found.organization_id,
        instance_id=found.instance_id,
        message_id=found.id,
        wire_id=found.wire_id,
        status=status.value,
        at=moment(now_ms),
        code=code,
        reason=reason,
    )


class Outcomes:
    """Stores what came of a claimed send, and tells of it."""

    def __init__(self, database: Database, queues: Queues) -> None:
        self._database = database
        self._queues = queues

    async def accepted(self, claim: Claim, accepted: Accepted, *, now_ms: int) -> None:
        """Store that WhatsApp took the message: a fact, whoever holds the claim now. A higher status stays."""
        at = moment(accepted.accepted_at_ms)
        given = {
            "own_id": claim.message_id,
            "took_as": accepted.provider_id,
            "took_at": at,
            "at": moment(now_ms),
        }
        told: list[Told] = []
        async with self._database.begin() as connection:
            if (await connection.execute(_RISE, given)).rowcount:
                told = await _tell(connection, claim, MessageStatus.SENT, at=at)
            else:  # a receipt was faster
                await connection.execute(_KEEP, given)
        await enqueue(self._queues, told)

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
        await self._update(claim, status, values, now_ms=now_ms, suppresses=error.action is Action.SUPPRESS)

    async def _update(
        self, claim: Claim, status: MessageStatus, values: dict[str, Any], *, now_ms: int, suppresses: bool = False
    ) -> None:
        statement = (
            update(messages)
            .where(
                messages.c.id == claim.message_id,
                messages.c.status == MessageStatus.SENDING.value,
                messages.c.updated_at == claim.at,
            )
            .values(status=status.value, updated_at=moment(now_ms), **values)
        )
        told: list[Told] = []
        async with self._database.begin() as connection:
            changed = (await connection.execute(statement)).rowcount
            if suppresses:  # said of the contact, whoever holds the claim now
                happenings = await suppress(
                    connection,
                    organization_id=claim.organization_id,
                    contact_id=claim.contact_id,
                    code=values["failure_code"],
                    reason=values["failure_reason"],
                    at=moment(now_ms),
                )
                told += await emit_all(connection, happenings)
            if changed and status is not MessageStatus.QUEUED:
                told += await _tell(
                    connection,
                    claim,
                    status,
                    at=moment(now_ms),
                    code=values.get("failure_code"),
                    reason=values.get("failure_reason"),
                )
        await enqueue(self._queues, told)


async def _tell(
    connection: AsyncConnection,
    claim: Claim,
    status: MessageStatus,
    *,
    at: datetime,
    code: str | None = None,
    reason: str | None = None,
) -> list[Told]:
    return await became(
        connection,
        organization_id=claim.organization_id,
        instance_id=claim.instance_id,
        message_id=claim.message_id,
        wire_id=claim.wire_id,
        status=status.value,
        at=at,
        code=code,
        reason=reason,
    )
