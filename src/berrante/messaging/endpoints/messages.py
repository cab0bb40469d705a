"""What is told of a message."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.endpoints.emitting import Told, emit
from berrante.messaging.endpoints.events import EventType


async def received(
    connection: AsyncConnection,
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
) -> list[Told]:
    """Tell of a contact's message; call it in the transaction that stored it."""
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
    return await emit(connection, organization_id, EventType.MESSAGE_RECEIVED, data)


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
    data: dict[str, Any] = {
        "message_id": str(message_id),
        "instance_id": instance_id,
        "wire_id": wire_id,
        "status": status,
        "at": at.isoformat(),
    }
    if status == "failed":
        data["failure"] = {"code": code, "reason": reason}
        return await emit(connection, organization_id, EventType.MESSAGE_FAILED, data)
    return await emit(connection, organization_id, EventType.MESSAGE_STATUS, data)
