"""Removes what has been kept long enough: old rows from the database, old jobs from queues that have gone quiet."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final
from uuid import UUID

from sqlalchemy import Exists, Select, delete, exists, select, update
from sqlalchemy.sql.dml import ReturningDelete, ReturningUpdate

from berrante.engine import Retention, State
from berrante.engine.dead_letters import KEEP
from berrante.engine.old_jobs import OldJobs
from berrante.messaging.automations.models import automation_runs
from berrante.messaging.campaigns.models import campaign_recipients
from berrante.messaging.clock import Clock, milliseconds, moment
from berrante.messaging.files.keeping import let_go
from berrante.messaging.messages.files import file_in
from berrante.messaging.messages.models import messages
from berrante.messaging.messages.status import OPEN
from berrante.messaging.queues import QueueName, Queues
from berrante.store import Database, first_id

_BATCH: Final = 1_000
_REMOVED: Final = {"type": "removed"}
_Chosen = tuple[UUID, UUID, str | None]
_Removal = ReturningDelete[_Chosen] | ReturningUpdate[_Chosen]
_FINISHED: Final = (State.COMPLETED, State.FAILED)


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptFor:
    """How long things are kept; ``messages`` None is for ever, and a queue's jobs as their options say."""

    messages: timedelta | None = None
    jobs: Mapping[QueueName, tuple[Retention, Retention]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(kw_only=True, slots=True)
class Removed:
    """What one run removed; ``emptied`` messages stay, without their text, since a campaign counts them."""

    messages: int = 0
    emptied: int = 0
    jobs: int = 0


class RetentionKeeper:
    """Safe to run at any time, twice at once, and to cut off: each batch is a transaction of its own."""

    def __init__(self, *, database: Database, queues: Queues, clock: Clock, kept_for: KeptFor) -> None:
        self._database = database
        self._queues = queues
        self._clock = clock
        self._kept_for = kept_for

    async def sweep(self) -> Removed:
        """Remove everything that is older than it is kept for."""
        removed = Removed()
        if self._kept_for.messages is not None:
            before = moment(self._clock()) - self._kept_for.messages
            removed.messages = await self._batches(_deleting(before))
            removed.emptied = await self._batches(_emptying(before))
        for name, (completed, failed) in self._kept_for.jobs.items():
            for state, kept in zip(_FINISHED, (completed, failed), strict=True):
                removed.jobs += await self._old_jobs(name, state, kept)
        # What was put back: BullMQ applies ages only when a job finishes.
        removed.jobs += await self._old_jobs(QueueName.DEAD_LETTER, State.COMPLETED, KEEP)
        return removed

    async def _batches(self, statement: _Removal) -> int:
        total = 0
        while True:
            async with self._database.begin() as connection:
                rows = (await connection.execute(statement)).all()
                files = [(row.organization_id, row.id, row.file) for row in rows if row.file is not None]
                await let_go(connection, files, at=moment(self._clock()))
            total += len(rows)
            if len(rows) < _BATCH:
                return total
            await asyncio.sleep(0)  # the process has others to serve between two batches

    async def _old_jobs(self, name: QueueName, state: State, kept: Retention) -> int:
        if kept.age_s is None:
            return 0
        old = OldJobs(queue=self._queues[name], state=state, before_ms=self._clock() - kept.age_s * 1_000)
        return sum([number async for number in old.remove()])


def _old(before: datetime) -> "Select[_Chosen]":
    """Choose and lock messages that are old and at their end, with nothing left to do; two runs share them."""
    due = exists().where(automation_runs.c.message_id == messages.c.id, automation_runs.c.status == "open")
    return (
        select(messages.c.id, messages.c.organization_id, file_in.label("file"))
        .where(
            # Ids begin with their time: the primary key finds the old ones without an index of its own.
            messages.c.id < first_id(milliseconds(before)),
            messages.c.created_at < before,
            messages.c.status.not_in([status.value for status in OPEN]),
            ~due,
        )
        .order_by(messages.c.id)
        .limit(_BATCH)
        .with_for_update(of=messages, skip_locked=True)
    )


def _of_a_campaign() -> Exists:
    return exists().where(campaign_recipients.c.message_id == messages.c.id)


def _deleting(before: datetime) -> "ReturningDelete[_Chosen]":
    old = _old(before).where(~_of_a_campaign()).subquery("old")
    return delete(messages).where(messages.c.id == old.c.id).returning(old.c.id, old.c.organization_id, old.c.file)


def _emptying(before: datetime) -> "ReturningUpdate[_Chosen]":
    """Take the text out of a campaign's messages: without the rows, its counts would no longer add up."""
    is_full = messages.c.content["type"].astext != _REMOVED["type"]
    old = _old(before).where(_of_a_campaign(), is_full).subquery("old")
    emptied = update(messages).where(messages.c.id == old.c.id).values(content=_REMOVED)
    return emptied.returning(old.c.id, old.c.organization_id, old.c.file)
