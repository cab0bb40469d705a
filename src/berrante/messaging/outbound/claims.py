"""The compare-and-set by which one worker has a message: many are found, locked and claimed in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, bindparam, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.campaigns.models import campaign_recipients, campaigns
from berrante.messaging.campaigns.winding_down import CANCELLED
from berrante.messaging.clock import moment
from berrante.messaging.contacts.models import contacts
from berrante.messaging.messages.models import messages
from berrante.messaging.messages.origin import Origin
from berrante.messaging.messages.status import MessageStatus
from berrante.messaging.outbound.jobs import SendPayload

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
        messages.c.id == func.any(bindparam("ids", type_=ARRAY(Uuid))),
        messages.c.organization_id == func.any(bindparam("organization_ids", type_=ARRAY(Uuid))),
        messages.c.direction == "out",
    )
    # In one order for all that lock many: receipts do the same.
    .order_by(messages.c.id)
    .with_for_update(of=messages, key_share=True)
)
_CLAIM: Final = text("""
    UPDATE messages m
       SET status = 'sending', updated_at = given.at,
           attempts = CASE WHEN given.is_again THEN 0 ELSE m.attempts END,
           failure_code = CASE WHEN given.is_again THEN NULL ELSE m.failure_code END,
           failure_reason = CASE WHEN given.is_again THEN NULL ELSE m.failure_reason END,
           trace_context = coalesce(given.trace_context, m.trace_context)
      FROM unnest(CAST(:ids AS uuid[]), CAST(:ats AS timestamptz[]), CAST(:again AS boolean[]),
                  CAST(:traces AS text[])) AS given (id, at, is_again, trace_context)
     WHERE m.id = given.id
""")


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


async def find(connection: AsyncConnection, wanted: Sequence[SendPayload], *, now_ms: int) -> dict[SendPayload, Found]:
    """Lock outgoing messages and return those that are there, with what their campaigns say of them now."""
    given = {
        "ids": [each.message_id for each in wanted],
        "organization_ids": list({each.organization_id for each in wanted}),
    }
    rows = {row.id: row for row in await connection.execute(_FIND, given)}
    found = {}
    for each in wanted:
        row = rows.get(each.message_id)
        # Only its own organization's: a job may name any id.
        if row and (row.organization_id, row.instance_id) == (each.organization_id, each.instance_id):
            found[each] = _found(row, now_ms)
    return found


def _found(row: Row[Any], now_ms: int) -> Found:
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


async def claim(
    connection: AsyncConnection, found: Sequence[Found], *, now_ms: int, traces: Sequence[str | None]
) -> list[Claim]:
    """Make messages ours; the transaction that locked them must still be open.

    Of ``traces`` each message keeps its own, so that receipts join the trace of the send.
    """
    if not found:
        return []
    # Every claim differs from the one before, even within a millisecond: it is the fence against a late worker.
    ats = [max(moment(now_ms), each.updated_at + timedelta(microseconds=1)) for each in found]
    given = {
        "ids": [each.id for each in found],
        "ats": ats,
        "again": [each.status is MessageStatus.FAILED for each in found],  # a person's second chance
        "traces": list(traces),
    }
    await connection.execute(_CLAIM, given)
    return [
        Claim(each.id, at, each.organization_id, each.instance_id, each.contact_id, each.wire_id)
        for each, at in zip(found, ats, strict=True)
    ]


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
