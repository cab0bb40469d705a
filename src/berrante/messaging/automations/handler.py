"""The queue ``automation``: writes the reply of a run that is due."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from sqlalchemy import exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.engine import Job, Snooze, Unrecoverable
from berrante.gateways.protocol import Gateway
from berrante.messaging.automations.jobs import STEP, StepPayload
from berrante.messaging.automations.models import automation_runs, automations
from berrante.messaging.clock import Clock, moment
from berrante.messaging.instances.tenancy import gateway_of
from berrante.messaging.messages.models import messages
from berrante.messaging.messages.origin import Origin
from berrante.messaging.outbound.jobs import send_job
from berrante.messaging.outbound.writing import gateway_named, write
from berrante.messaging.payloads import read
from berrante.messaging.queues import Queues
from berrante.messaging.quotas.service import Quotas, Spending, spending
from berrante.store import Database

#: How soon a run looks again whether the one that it waits for is through.
_WAIT_MS: Final = 250


class AutomationHandler:
    """Handles ``step``: however often it runs, a run writes one reply."""

    def __init__(
        self,
        *,
        database: Database,
        queues: Queues,
        gateways: Mapping[str, Gateway],
        clock: Clock,
        quotas: Quotas | None = None,
    ) -> None:
        self._database = database
        self._queues = queues
        self._gateways = gateways
        self._clock = clock
        self._quotas = quotas

    async def __call__(self, job: Job) -> object:
        """Write the reply and enqueue it; raises ``Unrecoverable`` for a job that can never be done."""
        if job.name != STEP:
            raise Unrecoverable(f"queue 'automation' has no jobs named {job.name!r}: use 'step'")
        payload = read(job, StepPayload)
        organization_id = payload.organization_id
        async with spending(self._quotas, organization_id) as spent, self._database.begin() as connection:
            name = await gateway_of(
                connection, organization_id=payload.organization_id, instance_id=payload.instance_id
            )
            if await _waits(connection, payload.run_id):
                return Snooze(_WAIT_MS)
            reply_id = await self._reply(connection, payload, gateway_named(self._gateways, name), spent)
        if reply_id is None:
            return {"status": "skipped"}
        # Also when the reply was written before: that run may have been killed right here.
        send = send_job(
            self._queues.outbound,
            organization_id=payload.organization_id,
            instance_id=payload.instance_id,
            message_id=reply_id,
            priority=Origin.AUTOMATION.priority,
        )
        await self._queues.outbound.add_bulk([send])
        return {"status": "done", "messageId": str(reply_id)}

    async def _reply(
        self, connection: AsyncConnection, payload: StepPayload, gateway: Gateway, spent: Spending
    ) -> UUID | None:
        """Return the id of the run's reply, written now or before; None if there is none to write."""
        query = (
            select(
                automation_runs.c.status,
                automation_runs.c.reply_message_id,
                automations.c.reply,
                automations.c.enabled,
                messages.c.contact_id,
            )
            .join(automations, automations.c.id == automation_runs.c.automation_id)
            .join(messages, messages.c.id == automation_runs.c.message_id)
            .where(
                automation_runs.c.id == payload.run_id,
                automation_runs.c.organization_id == payload.organization_id,
                messages.c.organization_id == payload.organization_id,
                messages.c.instance_id == payload.instance_id,
            )
            .with_for_update(of=automation_runs, key_share=True)
        )
        row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise Unrecoverable(f"instance {payload.instance_id!r} has no run {payload.run_id}")
        if row.status in {"done", "skipped"}:
            written: UUID | None = row.reply_message_id
            return written
        run = update(automation_runs).where(automation_runs.c.id == payload.run_id)
        if not row.enabled:
            await connection.execute(run.values(status="skipped"))
            return None
        reply_id = await write(
            connection,
            gateway,
            organization_id=payload.organization_id,
            instance_id=payload.instance_id,
            contact_id=row.contact_id,
            origin=Origin.AUTOMATION,
            text=row.reply,
            at=moment(self._clock()),
        )
        await connection.execute(run.values(status="done", reply_message_id=reply_id))
        await spent.count()  # never refused: a conversation does not break off
        return reply_id


async def _waits(connection: AsyncConnection, run_id: UUID) -> bool:
    """Tell whether the run that this one follows is still to be written; failed for good, it is waited for no more."""
    before = automation_runs.alias("before")
    query = select(
        exists().where(
            automation_runs.c.id == run_id, before.c.id == automation_runs.c.waits_for, before.c.status == "open"
        )
    )
    return bool((await connection.execute(query)).scalar_one())
