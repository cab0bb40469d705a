"""The runs of automations in the database: one per automation and message, ever."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.automations.matching import matches
from berrante.messaging.automations.models import automation_runs, automations
from berrante.messaging.messages.content import text_of
from berrante.store import new_id

_OPEN: Final = (automation_runs.c.id, automation_runs.c.message_id, automation_runs.c.due_at)


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenRun:
    """A run whose reply is yet to be written."""

    id: UUID
    due_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A newly stored message, which automations may answer."""

    message_id: UUID
    instance_id: str
    content: dict[str, Any]
    #: The automation that a campaign names for its answers, if the message is one.
    named: UUID | None = None
    #: Whether those that answer usually run after it; else it is all that runs.
    others_follow: bool = False


async def start(
    connection: AsyncConnection, *, organization_id: UUID, calls: Sequence[Call], at: datetime
) -> dict[UUID, list[OpenRun]]:
    """Open a run of each automation that a message calls for, and return them by message.

    An answer to a campaign calls for the automation that the campaign names, if that is enabled; others wait for it,
    its delay included, or do not run at all, as the campaign says.

    Call it in the transaction that stores the messages.
    """
    if not calls:
        return {}
    query = (
        select(automations)
        .where(
            automations.c.organization_id == organization_id,
            or_(
                automations.c.instance_id.is_(None),
                automations.c.instance_id.in_({each.instance_id for each in calls}),
                automations.c.id.in_({each.named for each in calls if each.named is not None}),
            ),
            automations.c.enabled,
        )
        .order_by(automations.c.id)
    )
    known = (await connection.execute(query)).all()
    rows = [row for call in calls for row in _runs_of(call, known, organization_id=organization_id, at=at)]
    if not rows:
        return {}
    statement = insert(automation_runs).on_conflict_do_nothing().returning(*_OPEN)
    return _by_message((await connection.execute(statement, rows)).all())


def _runs_of(call: Call, known: Sequence[Row[Any]], *, organization_id: UUID, at: datetime) -> Iterator[dict[str, Any]]:
    first = next((each for each in known if each.id == call.named), None)
    usual = [each for each in known if each is not first and _wants(each, call)]
    follow = usual if first is None or call.others_follow else []
    first_id = new_id() if first is not None else None
    earliest = at
    for automation in (*([first] if first is not None else []), *follow):
        due_at = max(earliest, at + timedelta(milliseconds=automation.delay_ms))
        is_first = automation is first
        yield {
            "id": first_id if is_first else new_id(),
            "organization_id": organization_id,
            "automation_id": automation.id,
            "message_id": call.message_id,
            "status": "open",
            "due_at": due_at,
            "waits_for": None if is_first else first_id,
        }
        if is_first:
            earliest = due_at


async def still_open(connection: AsyncConnection, message_ids: Sequence[UUID]) -> dict[UUID, list[OpenRun]]:
    """Return the open runs of messages, whose jobs may have been lost."""
    query = select(*_OPEN).where(automation_runs.c.message_id.in_(message_ids), automation_runs.c.status == "open")
    return _by_message((await connection.execute(query)).all())


def _wants(automation: Row[Any], call: Call) -> bool:
    if automation.instance_id not in {None, call.instance_id}:
        return False
    text = text_of(call.content)
    match automation.trigger:
        case "any":
            return True
        case "keyword":
            return text is not None and matches(text, automation.keywords)
        case _:
            return False


def _by_message(rows: Sequence[Row[UUID, UUID, datetime]]) -> dict[UUID, list[OpenRun]]:
    found: dict[UUID, list[OpenRun]] = {}
    for row in rows:
        found.setdefault(row.message_id, []).append(OpenRun(id=row.id, due_at=row.due_at))
    return found
