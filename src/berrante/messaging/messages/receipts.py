"""What a receipt does to the message that it speaks of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.gateways.protocol import ReceiptStatus
from berrante.messaging.contacts.consent import suppress
from berrante.messaging.fields import storable
from berrante.messaging.messages.models import message_prices, messages
from berrante.messaging.messages.status import MessageStatus, from_receipt, later

_TIMES: Final = {
    ReceiptStatus.SENT: messages.c.sent_at,
    ReceiptStatus.DELIVERED: messages.c.delivered_at,
    ReceiptStatus.READ: messages.c.read_at,
}

#: The contact stopped this business' marketing messages.
#: https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes
_STOPPED: Final = "131050"


@dataclass(frozen=True, kw_only=True, slots=True)
class Applied:
    """The message that a receipt spoke of; ``is_news`` if the receipt changed its status to ``holds``."""

    id: UUID
    wire_id: str
    contact_id: UUID
    content: Mapping[str, Any]
    holds: MessageStatus
    is_news: bool


async def apply(
    connection: AsyncConnection,
    *,
    organization_id: UUID,
    instance_id: str,
    message_id: str,
    status: ReceiptStatus,
    at: datetime,
    now: datetime,
    error_code: str | None,
    error: str | None,
    wire_id: str | None = None,
) -> Applied | None:
    """Raise the message's status if the receipt ranks higher, and return what holds now; None if there is no message.

    ``message_id`` is the wire id or the provider id, within the instance; ``wire_id``, if WhatsApp told it beside its
    own, settles a message whose provider id we never learned. Receipts may come twice and in any order.
    """
    names = [message_id] if wire_id is None else [wire_id, message_id]
    query = (
        select(messages.c.id, messages.c.wire_id, messages.c.contact_id, messages.c.content, messages.c.status)
        .where(
            messages.c.organization_id == organization_id,
            messages.c.instance_id == instance_id,
            messages.c.direction == "out",
            or_(messages.c.wire_id.in_(names), messages.c.provider_id == message_id),
        )
        .order_by((messages.c.wire_id == names[0]).desc(), (messages.c.wire_id == message_id).desc())
        .limit(1)
        .with_for_update(key_share=True)
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    current = MessageStatus(row.status)
    holds = later(current, from_receipt(status))
    values: dict[str, str | datetime | ColumnElement[Any] | None] = {"status": holds.value, "updated_at": now}
    if (column := _TIMES.get(status)) is not None:
        values[column.name] = func.coalesce(column, at)
    if message_id != row.wire_id:
        # The answer that would have told it may be lost, or still on its way.
        values["provider_id"] = func.coalesce(messages.c.provider_id, message_id)
    if holds is MessageStatus.FAILED and holds is not current:
        values |= {"failure_code": error_code, "failure_reason": error}
    elif current is MessageStatus.IN_DOUBT and holds is not current:
        values |= {"failure_code": None, "failure_reason": None}  # there is no doubt any more
    await connection.execute(update(messages).where(messages.c.id == row.id).values(values))
    if holds is MessageStatus.FAILED and error_code == _STOPPED:
        await suppress(connection, row.id, reason=error or "the contact stopped marketing messages", at=at)
    return Applied(
        id=row.id,
        wire_id=row.wire_id,
        contact_id=row.contact_id,
        content=row.content,
        holds=holds,
        is_news=holds is not current,
    )


async def price(
    connection: AsyncConnection, pricing: Mapping[str, Any], *, organization_id: UUID, message_id: UUID
) -> None:
    """Keep what WhatsApp says that a message costs; of several statuses, the last holds."""
    told = {
        name: value for name in ("pricing_model", "category", "type") if isinstance(value := pricing.get(name), str)
    }
    billable = pricing.get("billable")
    row = {
        "message_id": message_id,
        "organization_id": organization_id,
        "billable": billable if isinstance(billable, bool) else None,
        "model": _short(told.get("pricing_model")),
        "category": _short(told.get("category")),
        "type": _short(told.get("type")),
    }
    new = insert(message_prices).values(row)
    changed = {name: new.excluded[name] for name in ("billable", "model", "category", "type")}
    await connection.execute(new.on_conflict_do_update(index_elements=["message_id"], set_=changed))


def _short(text: str | None) -> str | None:
    return None if text is None else storable(text)[:60]
