"""The queue ``campaign``: writes to one recipient per run, so that the queue's rate counts messages."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from sqlalchemy import exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.engine import Job, Snooze, Unrecoverable
from berrante.gateways.protocol import Gateway
from berrante.messaging.campaigns.jobs import TICK, TickPayload
from berrante.messaging.campaigns.models import campaign_recipients, campaigns
from berrante.messaging.clock import Clock, moment
from berrante.messaging.contacts.store import remember
from berrante.messaging.endpoints.emitting import emit, enqueue
from berrante.messaging.endpoints.events import EventType
from berrante.messaging.instances.tenancy import gateway_of
from berrante.messaging.messages.models import messages
from berrante.messaging.messages.origin import Origin
from berrante.messaging.messages.status import OPEN
from berrante.messaging.outbound.jobs import send_job
from berrante.messaging.outbound.writing import gateway_named, write
from berrante.messaging.payloads import read
from berrante.messaging.queues import Queues
from berrante.store import Database

#: How soon a campaign of which all is written looks whether all is sent; each look uses up one of the queue's rate.
SETTLING_MS: Final = 10_000


class CampaignHandler:
    """Handles ``tick``. One recipient has one message, however many workers tick at once or are killed."""

    def __init__(self, *, database: Database, queues: Queues, gateways: Mapping[str, Gateway], clock: Clock) -> None:
        self._database = database
        self._queues = queues
        self._gateways = gateways
        self._clock = clock

    async def __call__(self, job: Job) -> object:
        """Write to the next recipient; raises ``Unrecoverable`` for a job that can never be done."""
        if job.name != TICK:
            raise Unrecoverable(f"queue 'campaign' has no jobs named {job.name!r}: use 'tick'")
        payload = read(job, TickPayload)
        async with self._database.begin() as connection:
            name = await gateway_of(
                connection, organization_id=payload.organization_id, instance_id=payload.instance_id
            )
            gateway = gateway_named(self._gateways, name)
            query = (
                select(campaigns.c.status, campaigns.c.body)
                .where(
                    campaigns.c.id == payload.campaign_id,
                    campaigns.c.organization_id == payload.organization_id,
                    campaigns.c.instance_id == payload.instance_id,
                )
                # One tick of a campaign at a time: the next waits here, and takes the next recipient.
                .with_for_update(key_share=True)
            )
            campaign = (await connection.execute(query)).one_or_none()
            if campaign is None:
                raise Unrecoverable(f"instance {payload.instance_id!r} has no campaign {payload.campaign_id}")
            if campaign.status != "running":
                return {"status": campaign.status}
            message_id = await self._write(connection, payload, gateway, campaign.body)
            if message_id is None:
                if await _has_open_messages(connection, payload.campaign_id):
                    return Snooze(SETTLING_MS)
                done = update(campaigns).where(campaigns.c.id == payload.campaign_id).values(status="done")
                await connection.execute(done)
                told = await emit(
                    connection,
                    payload.organization_id,
                    EventType.CAMPAIGN_FINISHED,
                    {"campaign_id": str(payload.campaign_id), "instance_id": payload.instance_id},
                )
        if message_id is None:
            await enqueue(self._queues, told)
            return {"status": "done"}
        send = send_job(
            self._queues.outbound,
            organization_id=payload.organization_id,
            instance_id=payload.instance_id,
            message_id=message_id,
            priority=Origin.CAMPAIGN.priority,
        )
        # Killed before this line, the message waits for the reconciler: the next run has the next recipient.
        await self._queues.outbound.add_bulk([send])
        return Snooze(0)

    async def _write(
        self, connection: AsyncConnection, payload: TickPayload, gateway: Gateway, body: str
    ) -> UUID | None:
        query = (
            select(campaign_recipients.c.id, campaign_recipients.c.address)
            .where(
                campaign_recipients.c.campaign_id == payload.campaign_id,
                campaign_recipients.c.status == "pending",
            )
            .order_by(campaign_recipients.c.position)
            .limit(1)
        )
        recipient = (await connection.execute(query)).one_or_none()
        if recipient is None:
            return None
        now = moment(self._clock())
        contact_id = await remember(
            connection,
            organization_id=payload.organization_id,
            instance_id=payload.instance_id,
            address=recipient.address,
            at=now,
        )
        message_id = await write(
            connection,
            gateway,
            organization_id=payload.organization_id,
            instance_id=payload.instance_id,
            contact_id=contact_id,
            origin=Origin.CAMPAIGN,
            text=body,
            at=now,
        )
        written = update(campaign_recipients).where(campaign_recipients.c.id == recipient.id)
        await connection.execute(written.values(status="written", message_id=message_id))
        return message_id


async def _has_open_messages(connection: AsyncConnection, campaign_id: UUID) -> bool:
    query = select(
        exists()
        .where(campaign_recipients.c.campaign_id == campaign_id)
        .where(messages.c.id == campaign_recipients.c.message_id)
        .where(messages.c.status.in_([status.value for status in OPEN]))
    )
    return bool((await connection.execute(query)).scalar_one())
