"""Tells WhatsApp that a contact's message was read, and that an answer is being written.

Straight to the gateway and not through a queue: who asks is at the conversation now, and a mark that comes minutes
later is worth nothing. Nothing is lost by asking again, so a failure is simply told.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import func, select, update

from berrante.engine.connection import system_clock
from berrante.gateways.protocol import Action, Gateway, InDoubt, SendError
from berrante.gateways.reading import MarksRead, marks_read
from berrante.messaging.clock import Clock, moment
from berrante.messaging.contacts.models import contacts
from berrante.messaging.errors import Busy, GatewayRefused, GatewaySilent, Invalid, Missing, NotSupported
from berrante.messaging.instances.models import instances
from berrante.messaging.messages.models import messages
from berrante.messaging.outbound import sending_holds
from berrante.messaging.outbound.policy.holding import Hold
from berrante.messaging.outbound.writing import gateway_named
from berrante.store import Database

#: Of one organization in one process: a tenant's flood is not to take the connections that others send over.
_AT_ONCE: Final = 8
_WITHIN_S: Final = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    instance_id: str
    contact_id: UUID
    wire_id: str
    gateway: str
    at: datetime
    hold: Hold | None


class ReadMarks:
    """Marks contacts' messages as read."""

    def __init__(self, database: Database, gateways: Mapping[str, Gateway], clock: Clock = system_clock) -> None:
        self._database = database
        self._gateways = gateways
        self._clock = clock
        self._asking: Counter[UUID] = Counter()

    async def mark(self, organization_id: UUID, message_id: UUID, *, typing: bool = False) -> None:
        """Show the contact that its message was read, and with ``typing`` that we write.

        The message and all before it are read in the list of conversations too. Raises ``Missing``, ``Invalid`` for a
        message of ours, ``NotSupported``, ``Busy``, ``GatewayRefused`` and ``GatewaySilent``.
        """
        found = await self._find(organization_id, message_id)
        gateway = marks_read(gateway_named(self._gateways, found.gateway))
        if gateway is None:
            raise NotSupported("mark messages as read", gateway=found.gateway)
        if found.hold is not None:
            # Meta counts refused calls too: what is known to be refused is not asked.
            raise GatewayRefused(found.hold.reason, provider_code=found.hold.code, passes=False)
        if self._asking[organization_id] >= _AT_ONCE:
            raise Busy("marks of messages as read", most=_AT_ONCE)
        self._asking[organization_id] += 1
        try:
            await self._ask(gateway, organization_id, found, typing=typing)
        finally:
            self._asking[organization_id] -= 1
            if not self._asking[organization_id]:
                del self._asking[organization_id]
        read = update(contacts).where(contacts.c.organization_id == organization_id, contacts.c.id == found.contact_id)
        async with self._database.tenant(organization_id) as connection:
            await connection.execute(read.values(read_until=func.greatest(contacts.c.read_until, found.at)))

    async def _find(self, organization_id: UUID, message_id: UUID) -> _Found:
        m = messages.c
        query = (
            select(m.instance_id, m.contact_id, m.wire_id, m.direction, m.created_at, instances.c.gateway)
            .join(instances, instances.c.id == m.instance_id)
            .where(m.organization_id == organization_id, m.id == message_id)
        )
        async with self._database.tenant(organization_id) as connection:
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                raise Missing("message", message_id)
            if row.direction != "in":
                remedy = "give the id of one that a contact wrote"
                raise Invalid("message_id", "is a message that you sent", remedy=remedy)
            holds = await sending_holds.on(
                connection,
                ["number", "account"],
                organization_id=organization_id,
                instance_id=row.instance_id,
                now=moment(self._clock()),
            )
        return _Found(
            instance_id=row.instance_id,
            contact_id=row.contact_id,
            wire_id=row.wire_id,
            gateway=row.gateway,
            at=row.created_at,
            hold=next((hold for hold in holds if hold.stops_number), None),
        )

    async def _ask(self, gateway: MarksRead, organization_id: UUID, found: _Found, *, typing: bool) -> None:
        try:
            async with asyncio.timeout(_WITHIN_S):
                await gateway.mark_read(
                    organization_id=organization_id,
                    instance_id=found.instance_id,
                    message_id=found.wire_id,
                    typing=typing,
                )
        except SendError as error:
            passes = error.action is Action.RETRY or (error.action is Action.HOLD and error.remedy is None)
            raise GatewayRefused(
                f"{error}: {error.remedy}" if error.remedy else str(error),
                provider_code=error.code,
                passes=passes,
                retry_after_s=-(-(error.retry_after_ms or 0) // 1_000),
            ) from error
        except (InDoubt, TimeoutError) as error:
            raise GatewaySilent(found.gateway) from error
