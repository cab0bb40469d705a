"""Writes outgoing messages: the row comes first, with the wire id that it will be sent under."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.gateways.protocol import Content, Gateway, Quoted, TextContent
from berrante.messaging.errors import GatewayMissing, Invalid
from berrante.messaging.files.keeping import name_file
from berrante.messaging.messages.content import stored
from berrante.messaging.messages.files import file_of
from berrante.messaging.messages.models import messages
from berrante.messaging.messages.origin import Origin
from berrante.messaging.messages.status import MessageStatus
from berrante.store import new_id

# Made once: to build a statement of many columns takes longer than to have it answered.
_WRITE: Final = insert(messages).on_conflict_do_nothing(index_elements=["id"])


async def write(
    connection: AsyncConnection,
    gateway: Gateway,
    *,
    organization_id: UUID,
    instance_id: str,
    contact_id: UUID,
    origin: Origin,
    at: datetime,
    text: str | None = None,
    content: Content | None = None,
    reply_to: str | None = None,
    quoted: Quoted | None = None,
    message_id: UUID | None = None,
) -> UUID:
    """Store a queued message and return its id; enqueue its job once the transaction is committed.

    Give ``content``, or ``text`` for a plain one. ``reply_to`` is WhatsApp's own id of the message that this answers,
    ``quoted`` what it was, if that is known.
    A ``message_id`` that is stored already stays as it is. Raises ``Invalid`` for a file of ours that was deleted.
    """
    if content is None:
        content = TextContent(body=text or "")
    message_id = message_id or new_id()
    row = {
        "id": message_id,
        "organization_id": organization_id,
        "instance_id": instance_id,
        "contact_id": contact_id,
        "direction": "out",
        "origin": origin.value,
        "wire_id": gateway.wire_id(message_id),
        "status": MessageStatus.QUEUED.value,
        "content": stored(content, reply_to=reply_to, quoted=quoted),
        "priority": origin.priority,
        "created_at": at,
        "updated_at": at,
    }
    written = await connection.execute(_WRITE, row)
    # After the insert, which waits for whoever erases the contact.
    if written.rowcount and (file := file_of(content)):
        field, reference = file
        if not await name_file(connection, organization_id=organization_id, message_id=message_id, reference=reference):
            raise Invalid(field, "names a file that was deleted", remedy="upload it with POST /v1/media")
    return message_id


def gateway_named(gateways: Mapping[str, Gateway], name: str) -> Gateway:
    """Return the gateway; raises ``GatewayMissing``."""
    try:
        return gateways[name]
    except KeyError:
        raise GatewayMissing(name) from None
