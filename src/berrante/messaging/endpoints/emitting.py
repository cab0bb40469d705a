"""Tells an organization's programs what happened: rows in the transaction of what happened, jobs once it is committed.

Example::

    async with database.begin() as connection:
        ...
        told = await emit(connection, organization_id, EventType.CAMPAIGN_STARTED, {"campaign_id": str(id)})
    await enqueue(queues, told)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import ARRAY, Text, Uuid, bindparam, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.engine import NewJob
from berrante.engine.tracing import carrying
from berrante.messaging.endpoints.events import EventType, topics
from berrante.messaging.endpoints.jobs import deliver_job
from berrante.messaging.endpoints.models import webhook_deliveries, webhook_endpoints
from berrante.messaging.queues import Queues
from berrante.store import new_id

# Made once: whatever happens asks it.
_ASKING: Final = (
    select(webhook_endpoints.c.id, webhook_endpoints.c.organization_id, webhook_endpoints.c.events)
    .where(
        webhook_endpoints.c.organization_id == func.any(bindparam("of", type_=ARRAY(Uuid))),
        webhook_endpoints.c.disabled_at.is_(None),
        webhook_endpoints.c.events.overlap(bindparam("wanted", type_=ARRAY(Text))),
    )
    .order_by(webhook_endpoints.c.id)
    # An endpoint that is being deleted must not make what happened fail with it.
    .with_for_update(read=True, key_share=True)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Happening:
    """Something to tell; ``data`` is JSON, ``trace_context`` the trace that it belongs to if not the current one."""

    organization_id: UUID
    event: EventType
    data: Mapping[str, Any]
    trace_context: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A delivery that was written and has no job yet."""

    organization_id: UUID
    endpoint_id: UUID
    delivery_id: UUID
    trace_context: str | None = None


async def emit(
    connection: AsyncConnection, organization_id: UUID, event: EventType, data: Mapping[str, Any]
) -> list[Told]:
    """Write a delivery for each endpoint that asked for the event; call ``enqueue`` once the transaction is committed.

    Without an endpoint this is one look at an index.
    """
    return await emit_all(connection, [Happening(organization_id=organization_id, event=event, data=data)])


async def emit_all(connection: AsyncConnection, happenings: Sequence[Happening]) -> list[Told]:
    """Do the same for much that happened at once, of any organizations, in two statements at most."""
    if not happenings:
        return []
    wanted = sorted({topic for happening in happenings for topic in topics(happening.event)})
    of = list({happening.organization_id for happening in happenings})
    endpoints = (await connection.execute(_ASKING, {"of": of, "wanted": wanted})).all()
    told: list[tuple[Happening, dict[str, Any]]] = []
    for happening in happenings if endpoints else ():
        asking = [
            endpoint.id
            for endpoint in endpoints
            if endpoint.organization_id == happening.organization_id
            and not set(topics(happening.event)).isdisjoint(endpoint.events)
        ]
        told += [(happening, row) for row in _rows(happening, asking)]
    written = await write(connection, [row for _, row in told])
    return [
        replace(each, trace_context=happening.trace_context) for (happening, _), each in zip(told, written, strict=True)
    ]


async def tell_one(
    connection: AsyncConnection,
    *,
    organization_id: UUID,
    endpoint_id: UUID,
    event: EventType,
    data: Mapping[str, Any],
) -> list[Told]:
    """Write a delivery for one endpoint, whatever it asked for."""
    happening = Happening(organization_id=organization_id, event=event, data=data)
    return await write(connection, _rows(happening, [endpoint_id]))


async def write(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> list[Told]:
    """Store deliveries."""
    if rows:
        await connection.execute(insert(webhook_deliveries), rows)
    return [
        Told(organization_id=row["organization_id"], endpoint_id=row["endpoint_id"], delivery_id=row["id"])
        for row in rows
    ]


async def enqueue(queues: Queues, told: Sequence[Told]) -> None:
    """Add the deliveries' jobs; what a crash before this line loses is found by the reconciler."""
    if told:
        await queues.webhook.add_bulk([_job(queues, each) for each in told])


def _job(queues: Queues, told: Told) -> NewJob:
    job = deliver_job(
        queues.webhook,
        organization_id=told.organization_id,
        endpoint_id=told.endpoint_id,
        delivery_id=told.delivery_id,
    )
    return replace(job, options=carrying(told.trace_context, job.options)) if job.options else job


def _rows(happening: Happening, endpoint_ids: Sequence[UUID]) -> list[dict[str, Any]]:
    if not endpoint_ids:
        return []
    now, event_id = datetime.now(UTC), new_id()
    body = msgspec.json.encode(
        {
            "id": f"evt_{event_id.hex}",
            "type": happening.event.value,
            "created_at": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "organization_id": str(happening.organization_id),
            "data": happening.data,
        }
    )
    return [
        {
            "id": new_id(),
            "organization_id": happening.organization_id,
            "endpoint_id": endpoint_id,
            "event_id": event_id,
            "event": happening.event.value,
            "body": body,
            "status": "pending",
            "due_at": now,
            "created_at": now,
        }
        for endpoint_id in endpoint_ids
    ]
