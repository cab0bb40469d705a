"""The runs of automations in the database: one per automation and message, ever."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.automations.matching import matches
from berrante.messaging.automations.models import automation_runs, automations
from berrante.messaging.messages.content import text_of
from berrante.store import new_id


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenRun:
    """A run whose reply is yet to be written."""

    id: UUID
    due_at: datetime


async def start(
    connection: AsyncConnection,
    *,
    organization_id: UUID,
    instance_id: str,
    message_id: UUID,
    content: dict[str, Any],
    at: datetime,
) -> list[OpenRun]:
    """Open a run of each automation that a newly stored message calls for; call it in the message's transaction."""
    query = (
        select(automations)
        .where(
            automations.c.organization_id == organization_id,
            or_(automations.c.instance_id.is_(None), automations.c.instance_id == instance_id),
            automations.c.enabled,
        )
        .order_by(automations.c.id)
    )
    text = text_of(content)
    rows = [
        {
            "id": new_id(),
            "organization_id": organization_id,
            "automation_id": automation.id,
            "message_id": message_id,
            "status": "open",
            "due_at": at + timedelta(milliseconds=automation.delay_ms),
        }
        for automation in await connection.execute(query)
        if automation.trigger == "any" or (text is not None and matches(text, automation.keywords))
    ]
    if not rows:
        return []
    statement = insert(automation_runs).values(rows).on_conflict_do_nothing()
    made = await connection.execute(statement.returning(automation_runs.c.id, automation_runs.c.due_at))
    return [OpenRun(id=row.id, due_at=row.due_at) for row in made]


async def still_open(connection: AsyncConnection, message_id: UUID) -> list[OpenRun]:
    """Return the open runs of a message, whose jobs may have been lost."""
    query = select(automation_runs.c.id, automation_runs.c.due_at).where(
        automation_runs.c.message_id == message_id, automation_runs.c.status == "open"
    )
    return [OpenRun(id=row.id, due_at=row.due_at) for row in await connection.execute(query)]
