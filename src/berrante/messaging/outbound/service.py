"""Messages that a person or a program sends: stored first, then enqueued."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from sqlalchemy import select

from berrante.engine.connection import is_unavailable, system_clock
from berrante.gateways.protocol import Content, Gateway, Quoted, TextContent
from berrante.messaging.addresses import canonical, checked
from berrante.messaging.clock import Clock, moment
from berrante.messaging.contacts.models import contacts
from berrante.messaging.contacts.store import remember
from berrante.messaging.errors import Invalid, Missing
from berrante.messaging.fields import storable, text_body
from berrante.messaging.instances.service import Instance, Instances
from berrante.messaging.messages.content import words_of
from berrante.messaging.messages.models import messages
from berrante.messaging.messages.origin import Origin
from berrante.messaging.outbound.jobs import send_job
from berrante.messaging.outbound.writing import gateway_named, write
from berrante.messaging.queues import Queues
from berrante.messaging.quotas import Quotas
from berrante.store import Database

#: Characters of a message that is answered: its beginning is what a phone shows.
_MOST_QUOTED: Final = 1_000
_log: Final = logging.getLogger(__name__)


class Outbound:
    """The way out for live replies."""

    def __init__(
        self,
        database: Database,
        queues: Queues,
        gateways: Mapping[str, Gateway],
        clock: Clock = system_clock,
        *,
        quotas: Quotas | None = None,
    ) -> None:
        self._database = database
        self._queues = queues
        self._gateways = gateways
        self._clock = clock
        self._quotas = quotas

    async def send(
        self,
        *,
        organization_id: UUID,
        instance_id: str,
        to: str,
        text: str | None = None,
        content: Content | None = None,
        reply_to: str | None = None,
    ) -> UUID:
        """Store a message, enqueue it and return its id: ``content``, or a plain ``text``.

        ``reply_to`` is WhatsApp's own id of the message that this one answers.

        If Redis is away after the commit this raises, but the message is stored: the reconciler enqueues it. Raises
        ``Invalid``, ``Missing`` for an instance that is not the organization's, or ``QuotaExceeded``.
        """
        message_id = await self._store(
            organization_id=organization_id,
            instance_id=instance_id,
            to=to,
            text=text,
            content=content,
            reply_to=reply_to,
        )
        await self._enqueue(organization_id=organization_id, instance_id=instance_id, message_id=message_id)
        return message_id

    async def accept(
        self,
        *,
        organization_id: UUID,
        instance_id: str,
        to: str,
        text: str | None = None,
        content: Content | None = None,
        reply_to: str | None = None,
        quotes: UUID | None = None,
        message_id: UUID | None = None,
        instance: Instance | None = None,
    ) -> UUID:
        """Do as ``send``, but a Redis that is away after the commit is no error: whoever asked must not ask again.

        The reconciler enqueues the message within two minutes of Redis' return. ``quotes`` is our own id of the message
        that this one answers, in place of ``reply_to``. With a ``message_id``, of an idempotency key, a message that is
        stored already stays as it is: a request whose process was killed after the commit is done once. ``instance`` is
        the organization's own one if it was found before.
        """
        quoted: Quoted | None = None
        if quotes is not None:
            reply_to, quoted = await self._quoted(organization_id, instance_id, to, quotes)
        stored_id = await self._store(
            organization_id=organization_id,
            instance_id=instance_id,
            to=to,
            text=text,
            content=content,
            reply_to=reply_to,
            quoted=quoted,
            message_id=message_id,
            instance=instance,
        )
        try:
            await self._enqueue(organization_id=organization_id, instance_id=instance_id, message_id=stored_id)
        except Exception as error:
            if not is_unavailable(error):
                raise
            _log.warning("message %s waits for the reconciler: Redis is away: %s", stored_id, error)
        return stored_id

    async def _store(
        self,
        *,
        organization_id: UUID,
        instance_id: str,
        to: str,
        text: str | None,
        content: Content | None,
        reply_to: str | None,
        quoted: Quoted | None = None,
        message_id: UUID | None = None,
        instance: Instance | None = None,
    ) -> UUID:
        if message_id is not None and await self._is_stored(organization_id, message_id):
            return message_id
        address = await self._address(organization_id, instance_id, to)
        if content is None:
            content = TextContent(body=text_body(text or "", field="text"))
        instance = instance or await Instances(self._database).find(organization_id, instance_id)
        if instance is None:
            raise Missing("instance", instance_id)
        gateway = gateway_named(self._gateways, instance.gateway)
        now = moment(self._clock())
        async with self._taken(organization_id), self._database.tenant(organization_id) as connection:
            contact_id = await remember(
                connection, organization_id=organization_id, instance_id=instance_id, address=address, at=now
            )
            return await write(
                connection,
                gateway,
                organization_id=organization_id,
                instance_id=instance_id,
                contact_id=contact_id,
                origin=Origin.API,
                content=content,
                reply_to=reply_to,
                quoted=quoted,
                at=now,
                message_id=message_id,
            )

    async def _is_stored(self, organization_id: UUID, message_id: UUID) -> bool:
        mine = select(messages.c.id).where(messages.c.organization_id == organization_id, messages.c.id == message_id)
        async with self._database.tenant(organization_id) as connection:
            return (await connection.execute(mine)).one_or_none() is not None

    async def _address(self, organization_id: UUID, instance_id: str, to: str) -> str:
        try:
            return checked(to, field="to")
        except Invalid:
            # A number that wrote to us exists, whatever the numbering plan that we know says of it.
            address = canonical(to, field="to")
            known = select(contacts.c.id).where(
                contacts.c.organization_id == organization_id,
                contacts.c.instance_id == storable(instance_id),
                contacts.c.address == address,
            )
            async with self._database.tenant(organization_id) as connection:
                if (await connection.execute(known)).one_or_none() is None:
                    raise
            return address

    async def _quoted(self, organization_id: UUID, instance_id: str, to: str, message_id: UUID) -> tuple[str, Quoted]:
        """Return a message of the conversation by WhatsApp's own id; raises ``Invalid`` if it has none yet."""
        address = await self._address(organization_id, instance_id, to)
        query = (
            select(messages.c.direction, messages.c.wire_id, messages.c.provider_id, messages.c.content)
            .join(contacts, contacts.c.id == messages.c.contact_id)
            .where(
                messages.c.organization_id == organization_id,
                messages.c.instance_id == storable(instance_id),
                messages.c.id == message_id,
                contacts.c.address == address,
            )
        )
        async with self._database.tenant(organization_id) as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise Invalid("reply_to", "is no message of this conversation", remedy="give the id of one that is")
        found: str | None = row.wire_id if row.direction == "in" else row.provider_id
        if found is None:
            raise Invalid("reply_to", "was not sent yet", remedy="wait until it is, or leave reply_to out")
        words = words_of(row.content)[:_MOST_QUOTED]
        return found, Quoted(ours=row.direction == "out", text=words)

    async def _enqueue(self, *, organization_id: UUID, instance_id: str, message_id: UUID) -> None:
        job = send_job(
            self._queues.outbound,
            organization_id=organization_id,
            instance_id=instance_id,
            message_id=message_id,
            priority=Origin.API.priority,
        )
        await self._queues.outbound.add_bulk([job])

    @asynccontextmanager
    async def _taken(self, organization_id: UUID) -> AsyncIterator[None]:
        """Take a message of the day's quota for the time of the block; it is given back if the block raises."""
        if self._quotas is None:
            yield
            return
        await self._quotas.take_messages(organization_id)
        try:
            yield
        except BaseException:
            await self._quotas.give_back_messages(organization_id)
            raise
