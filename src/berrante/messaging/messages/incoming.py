"""Contacts' messages, many at once: every step is one statement for all messages of an organization."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.gateways.protocol import Gateway
from berrante.messaging.addresses import as_written, canonical
from berrante.messaging.automations import runs
from berrante.messaging.automations.runs import Call, OpenRun
from berrante.messaging.campaigns.replies import Said, hear
from berrante.messaging.clock import moment
from berrante.messaging.contacts.store import Writer, remember_all
from berrante.messaging.endpoints.emitting import Happening
from berrante.messaging.endpoints.messages import received
from berrante.messaging.fields import storable
from berrante.messaging.messages.content import normalized, text_of
from berrante.messaging.messages.jobs import IncomingPayload, checked_id
from berrante.messaging.messages.models import messages
from berrante.messaging.messages.origin import Origin
from berrante.messaging.messages.standing import Standing
from berrante.messaging.outbound.writing import write
from berrante.messaging.payloads import checked, point_in_time
from berrante.store import new_id

# In order of the index that finds doubles: two transactions that meet wait for each other and never deadlock.
_STORE: Final = text("""
    INSERT INTO messages (
        id, organization_id, instance_id, contact_id, direction, origin, wire_id, status, content, priority,
        created_at, sent_at, updated_at
    )
    SELECT given.id, CAST(:organization AS uuid), given.instance_id, given.contact_id, 'in', 'contact', given.wire_id,
           'received', given.content, CAST(:priority AS smallint), CAST(:now AS timestamptz), given.sent_at,
           CAST(:now AS timestamptz)
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS given (
               id uuid, instance_id text, contact_id uuid, wire_id text, content jsonb, sent_at timestamptz)
     ORDER BY given.instance_id, given.wire_id, given.id
        ON CONFLICT (instance_id, wire_id) DO NOTHING
    RETURNING id
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Incoming:
    """A contact's message, checked; ``id`` is the one that it gets if it is new."""

    id: UUID
    organization_id: UUID
    instance_id: str
    wire_id: str
    sender: str
    written: str
    name: str | None
    content: dict[str, Any]
    sent_at: datetime

    @property
    def key(self) -> tuple[str, str]:
        """What makes the message itself: the same twice is one message."""
        return self.instance_id, self.wire_id


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """What came of one message; ``opened`` are runs whose jobs are to be added, ``answer`` a message to be sent."""

    status: str
    message_id: UUID
    opened: Sequence[OpenRun] = ()
    happenings: Sequence[Happening] = ()
    answer: UUID | None = None

    @property
    def outcome(self) -> dict[str, object]:
        """What stands on the job."""
        if self.status == "echo":
            return {"status": "echo", "messageId": str(self.message_id)}
        return {"status": self.status, "messageId": str(self.message_id), "runs": len(self.opened)}


def incoming(payload: IncomingPayload) -> Incoming:
    """Return the message of a job; raises ``Unrecoverable`` that names the field which is wrong."""
    return Incoming(
        id=new_id(),
        organization_id=payload.organization_id,
        instance_id=payload.instance_id,
        wire_id=checked(lambda: checked_id(payload.message_id)),
        sender=checked(lambda: canonical(payload.sender, field="from")),
        written=checked(lambda: as_written(payload.sender)),
        name=storable(payload.from_name)[:200] if payload.from_name else None,
        content=checked(lambda: normalized(payload.content)),
        sent_at=moment(checked(lambda: point_in_time(payload.sent_at, field="sentAt"))),
    )


async def store(
    connection: AsyncConnection,
    organization_id: UUID,
    given: Sequence[Incoming],
    *,
    gateway_of: Callable[[str], Gateway],
    stands: Standing,
    now: datetime,
) -> list[Stored]:
    """Store the messages of one organization, in order, and do what a new one asks for; one answer for each.

    ``gateway_of`` is asked for the gateway of a number through which something is answered at once. What the
    organization has none of, by ``stands``, is not looked for; without endpoints there is nothing to tell.

    All of it is one transaction: a message that is there has had its automation runs opened, once, and an opt-out word
    is heeded with the message, so that no claim after it writes to the contact.
    """
    if not given:
        return []
    contact_ids = await remember_all(connection, organization_id, _writers(given), at=now)
    new_ids = await _insert(connection, organization_id, given, contact_ids, now=now)
    new = [message for message in given if message.id in new_ids]
    said = [
        Said(
            message_id=message.id,
            contact_id=contact_ids[message.instance_id, message.sender],
            instance_id=message.instance_id,
            address=message.sender,
            text=text_of(message.content),
            at=message.sent_at,
        )
        for message in new
    ]
    came = await hear(
        connection,
        organization_id=organization_id,
        said=said,
        has_settings=stands.has_settings,
        has_campaigns=stands.has_campaigns,
    )
    heard = {message.id: each for message, each in zip(new, came, strict=True)}
    answers: dict[UUID, UUID] = {}
    for message in new:
        reply = heard[message.id].reply
        if reply is not None and "group" not in message.content:
            answers[message.id] = await write(
                connection,
                gateway_of(message.instance_id),
                organization_id=organization_id,
                instance_id=message.instance_id,
                contact_id=contact_ids[message.instance_id, message.sender],
                origin=Origin.AUTOMATION,
                text=reply,
                at=now,
            )
    # What was said in a group was not said to us: an automation would answer each of its members alone.
    calls = [
        Call(
            message_id=message.id,
            instance_id=message.instance_id,
            content=message.content,
            named=heard[message.id].automation_id,
        )
        for message in new
        if stands.has_automations and "group" not in message.content
    ]
    opened = await runs.start(connection, organization_id=organization_id, calls=calls, at=now)
    known = await _known(connection, organization_id, [message for message in given if message.id not in new_ids])
    return [
        Stored(
            status="stored",
            message_id=message.id,
            opened=opened.get(message.id, ()),
            happenings=[
                _told(message, contact_ids[message.instance_id, message.sender]),
                *heard[message.id].happenings,
            ]
            if stands.has_endpoints
            else (),
            answer=answers.get(message.id),
        )
        if message.id in new_ids
        else known[message.key]
        for message in given
    ]


def _writers(given: Sequence[Incoming]) -> list[Writer]:
    return [
        Writer(
            instance_id=message.instance_id,
            address=message.sender,
            written=message.written,
            name=message.name,
            wrote_at=message.sent_at,
        )
        for message in given
    ]


async def _insert(
    connection: AsyncConnection,
    organization_id: UUID,
    given: Sequence[Incoming],
    contact_ids: Mapping[tuple[str, str], UUID],
    *,
    now: datetime,
) -> set[UUID]:
    rows = [
        {
            "id": message.id,
            "instance_id": message.instance_id,
            "contact_id": contact_ids[message.instance_id, message.sender],
            "wire_id": message.wire_id,
            "content": message.content,
            "sent_at": message.sent_at,
        }
        for message in given
    ]
    place = {"organization": organization_id, "priority": Origin.CONTACT.priority.value, "now": now}
    made = await connection.execute(_STORE, {**place, "rows": msgspec.json.encode(rows).decode()})
    return set(made.scalars())


async def _known(
    connection: AsyncConnection, organization_id: UUID, given: Sequence[Incoming]
) -> dict[tuple[str, str], Stored]:
    """Return what messages are that came before, with the open runs of each: their jobs may have been lost."""
    if not given:
        return {}
    m = messages.c
    query = select(m.id, m.instance_id, m.wire_id, m.direction).where(
        m.organization_id == organization_id, tuple_(m.instance_id, m.wire_id).in_({message.key for message in given})
    )
    found = (await connection.execute(query)).all()
    opened = await runs.still_open(connection, [row.id for row in found])
    return {
        (row.instance_id, row.wire_id): Stored(status="known", message_id=row.id, opened=opened.get(row.id, ()))
        if row.direction == "in"
        else Stored(status="echo", message_id=row.id)  # our own message, told to us by another device of the number
        for row in found
    }


def _told(message: Incoming, contact_id: UUID) -> Happening:
    return received(
        organization_id=message.organization_id,
        instance_id=message.instance_id,
        contact_id=contact_id,
        message_id=message.id,
        wire_id=message.wire_id,
        sender=message.sender,
        sender_name=message.name,
        content=message.content,
        sent_at=message.sent_at,
    )
