"""The log of deliveries: what was sent, what came back, and sending it again."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, select, update

from berrante.engine.connection import system_clock
from berrante.messaging.clock import Clock, moment
from berrante.messaging.endpoints.jobs import deliver_job
from berrante.messaging.endpoints.models import webhook_deliveries, webhook_endpoints
from berrante.messaging.errors import Missing, WrongState
from berrante.messaging.queues import Queues
from berrante.store import Database

#: How long the log goes back.
KEPT: Final = timedelta(days=30)
_BATCH: Final = 5_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One event for one endpoint; ``answer_body`` is the first KB of the last answer, ``error`` why it failed."""

    id: UUID
    organization_id: UUID
    endpoint_id: UUID
    event_id: UUID
    event: str
    body: bytes
    status: str
    round: int
    attempts: int
    due_at: datetime
    created_at: datetime
    attempted_at: datetime | None
    delivered_at: datetime | None
    answer_status: int | None
    answer_body: str | None
    answer_ms: int | None
    error: str | None


class Deliveries:
    """Reads the log, and replays."""

    def __init__(self, database: Database, queues: Queues, *, clock: Clock = system_clock) -> None:
        self._database = database
        self._queues = queues
        self._clock = clock

    async def list(
        self,
        organization_id: UUID,
        endpoint_id: UUID,
        *,
        limit: int = 50,
        before: UUID | None = None,
        status: str | None = None,
    ) -> list[Delivery]:
        """Return up to ``limit`` of an endpoint's deliveries, newest first; raises ``Missing`` if it is not theirs."""
        query = select(webhook_deliveries).where(
            webhook_deliveries.c.organization_id == organization_id,
            webhook_deliveries.c.endpoint_id == endpoint_id,
        )
        if before is not None:
            query = query.where(webhook_deliveries.c.id < before)
        if status is not None:
            query = query.where(webhook_deliveries.c.status == status)
        owner = select(webhook_endpoints.c.id).where(
            webhook_endpoints.c.organization_id == organization_id, webhook_endpoints.c.id == endpoint_id
        )
        async with self._database.tenant(organization_id) as connection:
            if (await connection.execute(owner)).one_or_none() is None:
                raise Missing("webhook", endpoint_id)
            found = await connection.execute(query.order_by(webhook_deliveries.c.id.desc()).limit(limit))
            return [Delivery(**row._mapping) for row in found]

    async def get(self, organization_id: UUID, endpoint_id: UUID, delivery_id: UUID) -> Delivery:
        """Return one delivery; raises ``Missing``."""
        query = select(webhook_deliveries).where(*_own(organization_id, endpoint_id, delivery_id))
        async with self._database.tenant(organization_id) as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise Missing("delivery", delivery_id)
        return Delivery(**row._mapping)

    async def replay(self, organization_id: UUID, endpoint_id: UUID, delivery_id: UUID) -> Delivery:
        """Send a delivery again, whatever became of it: the same id and bytes, its tries counted anew.

        Raises ``Missing``, and ``WrongState`` for an endpoint that is disabled.
        """
        disabled = select(webhook_endpoints.c.disabled_at).where(
            webhook_endpoints.c.organization_id == organization_id, webhook_endpoints.c.id == endpoint_id
        )
        again = {
            "status": "pending",
            "round": webhook_deliveries.c.round + 1,
            "attempts": 0,
            "due_at": moment(self._clock()),
            "error": None,
        }
        own = _own(organization_id, endpoint_id, delivery_id)
        async with self._database.tenant(organization_id) as connection:
            endpoint = (await connection.execute(disabled)).one_or_none()
            if endpoint is not None and endpoint.disabled_at is not None:
                raise WrongState("webhook", endpoint_id, state="disabled", needed="enabled")
            changed = update(webhook_deliveries).where(*own).values(again).returning(webhook_deliveries)
            row = (await connection.execute(changed)).one_or_none()
        if row is None:
            raise Missing("delivery", delivery_id)
        delivery = Delivery(**row._mapping)
        job = deliver_job(
            self._queues.webhook,
            organization_id=organization_id,
            endpoint_id=endpoint_id,
            delivery_id=delivery_id,
            round_=delivery.round,
        )
        await self._queues.webhook.add_bulk([job])
        return delivery

    async def forget(self) -> int:
        """Remove what was settled and is older than the log goes back, in batches; return how many."""
        old = select(webhook_deliveries.c.id).where(
            webhook_deliveries.c.created_at < moment(self._clock()) - KEPT, webhook_deliveries.c.status != "pending"
        )
        gone = 0
        while True:
            async with self._database.platform(because="a chore forgets the old ones of all") as connection:
                statement = delete(webhook_deliveries).where(webhook_deliveries.c.id.in_(old.limit(_BATCH)))
                removed = (await connection.execute(statement)).rowcount
            gone += removed
            if removed < _BATCH:
                return gone


def _own(organization_id: UUID, endpoint_id: UUID, delivery_id: UUID) -> tuple[Any, ...]:
    return (
        webhook_deliveries.c.organization_id == organization_id,
        webhook_deliveries.c.endpoint_id == endpoint_id,
        webhook_deliveries.c.id == delivery_id,
    )
