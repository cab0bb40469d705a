"""The order of a chat: a message waits for those of its chat that went on their way before it."""

from typing import Final

from sqlalchemy import bindparam, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.engine import Queue
from berrante.messaging.messages.models import messages
from berrante.messaging.messages.origin import Origin
from berrante.messaging.messages.status import MessageStatus
from berrante.messaging.outbound.claims import Found
from berrante.messaging.outbound.jobs import send_id

#: After how long a message that waits looks again.
LOOK_MS: Final = 150
#: What is tried again within this time is on its way; what rests for longer, as behind a template's hold, holds up
#: nobody: the longest back-off between attempts is 8 s, and its jitter.
_SOON_MS: Final = 15_000
_MOST: Final = 10

_BEFORE: Final = (
    select(messages.c.id, messages.c.status)
    .where(
        messages.c.instance_id == bindparam("of_instance_id"),
        messages.c.contact_id == bindparam("of_contact_id"),
        messages.c.organization_id == bindparam("of_organization_id"),
        messages.c.direction == "out",
        messages.c.status.in_([MessageStatus.QUEUED.value, MessageStatus.SENDING.value]),
        messages.c.priority <= bindparam("urgency"),
        tuple_(messages.c.created_at, messages.c.id) < tuple_(bindparam("own_created_at"), bindparam("own_id")),
    )
    .order_by(messages.c.created_at.desc(), messages.c.id.desc())
    .limit(_MOST)
)


async def is_behind(connection: AsyncConnection, outbound: Queue, found: Found) -> bool:
    """Tell whether a message must wait for an earlier one of its chat, as urgent as itself, that is on its way.

    Many messages of a number are sent at once, and the second would overtake a first that takes longer, or is tried
    again. Campaigns wait for nobody: each has one message for a contact, and they have no order among them.
    """
    if found.origin is Origin.CAMPAIGN:
        return False
    given = {
        "of_instance_id": found.instance_id,
        "of_contact_id": found.contact_id,
        "of_organization_id": found.organization_id,
        "urgency": found.priority,
        "own_created_at": found.created_at,
        "own_id": found.id,
    }
    before = (await connection.execute(_BEFORE, given)).all()
    if any(row.status == MessageStatus.SENDING.value for row in before):
        return True
    for row in before:
        rest_ms = await outbound.rest_ms(send_id(row.id))
        if rest_ms is not None and rest_ms <= _SOON_MS:
            return True
    return False
