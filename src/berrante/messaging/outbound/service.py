"""Messages that a person or a program sends: stored first, then enqueued."""

from collections.abc import Mapping
from uuid import UUID

from berrante.engine.connection import system_clock
from berrante.gateways.protocol import Content, Gateway, TextContent
from berrante.messaging.addresses import canonical
from berrante.messaging.clock import Clock, moment
from berrante.messaging.contacts.store import remember
from berrante.messaging.errors import Missing
from berrante.messaging.fields import text_body
from berrante.messaging.instances.service import Instances
from berrante.messaging.messages.origin import Origin
from berrante.messaging.outbound.jobs import send_job
from berrante.messaging.outbound.writing import gateway_named, write
from berrante.messaging.queues import Queues
from berrante.store import Database


class Outbound:
    """The way out for live replies."""

    def __init__(
        self,
        database: Database,
        queues: Queues,
        gateways: Mapping[str, Gateway],
        clock: Clock = system_clock,
    ) -> None:
        self._database = database
        self._queues = queues
        self._gateways = gateways
        self._clock = clock

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
        ``Invalid``, or ``Missing`` for an instance that is not the organization's.
        """
        address = canonical(to, field="to")
        if content is None:
            content = TextContent(body=text_body(text or "", field="text"))
        instance = await Instances(self._database).find(organization_id, instance_id)
        if instance is None:
            raise Missing("instance", instance_id)
        gateway = gateway_named(self._gateways, instance.gateway)
        now = moment(self._clock())
        async with self._database.begin() as connection:
            contact_id = await remember(
                connection, organization_id=organization_id, instance_id=instance_id, address=address, at=now
            )
            message_id = await write(
                connection,
                gateway,
                organization_id=organization_id,
                instance_id=instance_id,
                contact_id=contact_id,
                origin=Origin.API,
                content=content,
                reply_to=reply_to,
                at=now,
            )
        job = send_job(
            self._queues.outbound,
            organization_id=organization_id,
            instance_id=instance_id,
            message_id=message_id,
            priority=Origin.API.priority,
        )
        await self._queues.outbound.add_bulk([job])
        return message_id
