"""What a receipt does to the message that it speaks of."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.gateways.protocol import ReceiptStatus
from berrante.messaging.contacts.consent import suppress
from berrante.messaging.messages.models import messages
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
) -> Applied | None:
    """Raise the message's status if the receipt ranks higher, and return what holds now; None if there is no message.

    ``message_id`` is the wire id or the provider id, within the instance. Receipts may come twice and in any order.
    """
    query = (
        select(messages.c.id, messages.c.wire_id, messages.c.status)
        .where(
            messages.c.organization_id == organization_id,
            messages.c.instance_id == instance_id,
            messages.c.direction == "out",
            or_(messages.c.wire_id == message_id, messages.c.provider_id == message_id),
        )
        .order_by((messages.c.wire_id == message_id).desc())
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
    if holds is MessageStatus.FAILED and holds is not current:
        values |= {"failure_code": error_code, "failure_reason": error}
    await connection.execute(update(messages).where(messages.c.id == row.id).values(values))
    if holds is MessageStatus.FAILED and error_code == _STOPPED:
        await suppress(connection, row.id, reason=error or "the contact stopped marketing messages", at=at)
    return Applied(id=row.id, wire_id=row.wire_id, holds=holds, is_news=holds is not current)
