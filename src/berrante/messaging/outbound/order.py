"""The order of a chat: a message waits for those of its chat that went on their way before it."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.engine import Queue
from berrante.messaging.messages.origin import Origin
from berrante.messaging.messages.status import MessageStatus
from berrante.messaging.outbound.claims import Found
from berrante.messaging.outbound.jobs import send_id

#: After how long a message that waits looks again.
LOOK_MS: Final = 150
#: What is tried again within this time is on its way; what rests for longer, as behind a template's hold, holds up
#: nobody: the longest back-off between attempts is 8 s, and its jitter.
_SOON_MS: Final = 15_000

_BEFORE: Final = text("""
    SELECT own.id AS own_id, before.id, before.status
      FROM messages own
     CROSS JOIN LATERAL (
            SELECT m.id, m.status
              FROM messages m
             WHERE m.instance_id = own.instance_id AND m.contact_id = own.contact_id
               AND m.organization_id = own.organization_id AND m.direction = 'out'
               AND m.status IN ('queued', 'sending')
               AND m.priority <= own.priority AND (m.created_at, m.id) < (own.created_at, own.id)
             ORDER BY m.created_at DESC, m.id DESC
             LIMIT 10) AS before
     WHERE own.id = ANY (CAST(:ids AS uuid[]))
""")


async def behind(connection: AsyncConnection, outbound: Queue, found: Sequence[Found]) -> set[UUID]:
    """Return those that must wait for an earlier one of their chat, as urgent as themselves, that is on its way.

    Many messages of a number are sent at once, and the second would overtake a first that takes longer, or is tried
    again. Campaigns wait for nobody: each has one message for a contact, and they have no order among them.
    """
    ordered = [each.id for each in found if each.origin is not Origin.CAMPAIGN]
    if not ordered:
        return set()
    waiting: set[UUID] = set()
    for row in await connection.execute(_BEFORE, {"ids": ordered}):
        if row.own_id not in waiting and (
            row.status == MessageStatus.SENDING.value or await _is_soon(outbound, row.id)
        ):
            waiting.add(row.own_id)
    return waiting


async def _is_soon(outbound: Queue, message_id: UUID) -> bool:
    rest_ms = await outbound.rest_ms(send_id(message_id))
    return rest_ms is not None and rest_ms <= _SOON_MS
