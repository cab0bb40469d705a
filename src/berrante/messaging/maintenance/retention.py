"""Removes what has been kept long enough: old rows from the database, old jobs from queues that have gone quiet."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final
from uuid import UUID

from sqlalchemy import Delete, Exists, Select, Update, delete, exists, select, update

from berrante.engine import Retention, State
from berrante.engine.dead_letters import KEEP
from berrante.engine.old_jobs import OldJobs
from berrante.messaging.automations.models import automation_runs
from berrante.messaging.campaigns.models import campaign_recipients
from berrante.messaging.clock import Clock, milliseconds, moment
from berrante.messaging.messages.models import messages
from berrante.messaging.messages.status import OPEN
from berrante.messaging.queues import QueueName, Queues
from berrante.store import Database

_BATCH: Final = 1_000
_REMOVED: Final = {"type": "removed"}
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

    async def _batches(self, statement: Delete | Update) -> int:
        total = 0
        while True:
            async with self._database.begin() as connection:
                number = (await connection.execute(statement)).rowcount
            total += number
            if number < _BATCH:
                return total
            await asyncio.sleep(0)  # the process has others to serve between two batches

    async def _old_jobs(self, name: QueueName, state: State, kept: Retention) -> int:
        if kept.age_s is None:
            return 0
        old = OldJobs(queue=self._queues[name], state=state, before_ms=self._clock() - kept.age_s * 1_000)
        return sum([number async for number in old.remove()])


def _old(before: datetime) -> "Select[tuple[UUID]]":
    """Choose messages that are old and at their end, nothing being left to do with them."""
    due = exists().where(automation_runs.c.message_id == messages.c.id, automation_runs.c.status == "open")
    return (
        select(messages.c.id)
        .where(
            # Ids begin with their time: the primary key finds the old ones without an index of its own.
            messages.c.id < _first_id(before),
            messages.c.created_at < before,
            messages.c.status.not_in([status.value for status in OPEN]),
            ~due,
        )
        .order_by(messages.c.id)
        .limit(_BATCH)
    )


def _of_a_campaign() -> Exists:
    return exists().where(campaign_recipients.c.message_id == messages.c.id)


def _deleting(before: datetime) -> Delete:
    return delete(messages).where(messages.c.id.in_(_old(before).where(~_of_a_campaign()).scalar_subquery()))


def _emptying(before: datetime) -> Update:
    """Take the text out of a campaign's messages: without the rows, its counts would no longer add up."""
    chosen = _old(before).where(_of_a_campaign(), messages.c.content["type"].astext != _REMOVED["type"])
    return update(messages).where(messages.c.id.in_(chosen.scalar_subquery())).values(content=_REMOVED)


def _first_id(at: datetime) -> UUID:
    """Return the smallest id that is made at that time."""
    return UUID(int=milliseconds(at) << 80)
