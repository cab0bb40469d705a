"""What is told of a message."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.endpoints.emitting import Happening, Told, emit_all
from berrante.messaging.endpoints.events import EventType


def received(
    *,
    organization_id: UUID,
    instance_id: str,
    contact_id: UUID,
    message_id: UUID,
    wire_id: str,
    sender: str,
    sender_name: str | None,
    content: Mapping[str, Any],
    sent_at: datetime,
) -> Happening:
    """Return what is told of a contact's message."""
    data = {
        "message_id": str(message_id),
        "instance_id": instance_id,
        "contact_id": str(contact_id),
        "wire_id": wire_id,
        "from": sender,
        "from_name": sender_name,
        "content": content,
        "sent_at": sent_at.isoformat(),
    }
    return Happening(organization_id=organization_id, event=EventType.MESSAGE_RECEIVED, data=data)


def changed(
    *,
    organization_id: UUID,
    instance_id: str,
    message_id: UUID,
    wire_id: str,
    status: str,
    at: datetime,
    code: str | None = None,
    reason: str | None = None,
    trace_context: str | None = None,
) -> Happening:
    """Return what is told of the status that an outgoing message has now."""
    data: dict[str, Any] = {
        "message_id": str(message_id),
        "instance_id": instance_id,
        "wire_id": wire_id,
        "status": status,
        "at": at.isoformat(),
    }
    event = EventType.MESSAGE_STATUS
    if status == "failed":
        event, data["failure"] = EventType.MESSAGE_FAILED, {"code": code, "reason": reason}
    return Happening(organization_id=organization_id, event=event, data=data, trace_context=trace_context)


async def became(
    connection: AsyncConnection,
    *,
    organization_id: UUID,
    instance_id: str,
    message_id: UUID,
    wire_id: str,
    status: str,
    at: datetime,
    code: str | None = None,
    reason: str | None = None,
) -> list[Told]:
    """Tell of the status that an outgoing message has now; call it in the transaction that stored it."""
    happening = changed(
        organization_id=organization_id,
        instance_id=instance_id,
        message_id=message_id,
        wire_id=wire_id,
        status=status,
        at=at,
        code=code,
        reason=reason,
    )
    return await emit_all(connection, [happening])
