"""The database is the truth: rows whose jobs were lost get them back."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, exists, select, update

from berrante.engine import NewJob, Queue
from berrante.messaging.automations.jobs import step_job
from berrante.messaging.automations.models import automation_runs
from berrante.messaging.campaigns.jobs import tick_job
from berrante.messaging.campaigns.models import campaign_recipients, campaigns
from berrante.messaging.clock import Clock, moment
from berrante.messaging.endpoints.emitting import emit, enqueue
from berrante.messaging.endpoints.events import EventType
from berrante.messaging.endpoints.jobs import deliver_job
from berrante.messaging.endpoints.messages import became
from berrante.messaging.endpoints.models import webhook_deliveries
from berrante.messaging.instance_states import review_all
from berrante.messaging.lost_jobs import LostJobs, Whereabouts
from berrante.messaging.messages.models import messages
from berrante.messaging.messages.status import OPEN, MessageStatus
from berrante.messaging.outbound import allowances, sending_holds
from berrante.messaging.outbound.jobs import send_job
from berrante.messaging.queues import Queues
from berrante.store import Database

RECONCILE: Final = "reconcile"
#: How old a row must be before its job counts as lost: longer than any way from a commit to its ``add``.
GRACE: Final = timedelta(seconds=60)
_BATCH: Final = 500
_FAILED: Final = "dead_letter"

_Rows = Sequence[Row[Any]]


@dataclass(kw_only=True, slots=True)
class Swept:
    """What one sweep did: jobs added again by queue, rows whose jobs had failed for good, changed numbers told of."""

    messages: int = 0
    runs: int = 0
    campaigns: int = 0
    webhooks: int = 0
    failed: int = 0
    standings: int = 0


class Reconciler:
    """Compares rows that are still to be worked on with their jobs; safe to run at any time and twice at once."""

    def __init__(self, *, database: Database, queues: Queues, clock: Clock) -> None:
        self._database = database
        self._queues = queues
        self._clock = clock

    async def sweep(self) -> Swept:
        """Look at every open row once, in batches."""
        swept = Swept()
        before = moment(self._clock()) - GRACE
        await self._each(
            select(messages).where(
                messages.c.status.in_([status.value for status in OPEN]), messages.c.updated_at < before, ~_is_held()
            ),
            messages.c.id,
            lambda rows: self._messages(rows, swept),
        )
        runs = (
            select(automation_runs, messages.c.instance_id)
            .join(messages, messages.c.id == automation_runs.c.message_id)
            .where(automation_runs.c.status == "open", automation_runs.c.due_at < before)
        )
        await self._each(runs, automation_runs.c.id, lambda rows: self._runs(rows, swept))
        running = select(campaigns).where(
            campaigns.c.status.in_(["scheduled", "running"]), campaigns.c.updated_at < before
        )
        await self._each(running, campaigns.c.id, lambda rows: self._campaigns(rows, swept))
        pending = select(
            webhook_deliveries.c.id,
            webhook_deliveries.c.organization_id,
            webhook_deliveries.c.endpoint_id,
            webhook_deliveries.c.round,
        ).where(webhook_deliveries.c.status == "pending", webhook_deliveries.c.due_at < before)
        await self._each(pending, webhook_deliveries.c.id, lambda rows: self._webhooks(rows, swept))
        await self._forget()
        swept.standings = await review_all(self._database, self._queues, now=moment(self._clock()))
        return swept

    async def _forget(self) -> None:
        """Delete what limits no send any more."""
        now = moment(self._clock())
        async with self._database.begin() as connection:
            await allowances.forget_old(connection, now=now)
            await sending_holds.forget_old(connection, before=now)

    async def _each(
        self, query: Select[Any], key: ColumnElement[UUID], work: Callable[[_Rows], Awaitable[None]]
    ) -> None:
        last: UUID | None = None
        while True:
            page = query.order_by(key).limit(_BATCH)
            if last is not None:
                page = page.where(key > last)
            async with self._database.begin() as connection:
                rows = (await connection.execute(page)).all()
            if rows:
                await work(rows)
            if len(rows) < _BATCH:
                return
            last = rows[-1].id

    async def _messages(self, rows: _Rows, swept: Swept) -> None:
        queue = self._queues.outbound
        jobs = [
            send_job(
                queue,
                organization_id=row.organization_id,
                instance_id=row.instance_id,
                message_id=row.id,
                priority=row.priority,
            )
            for row in rows
        ]
        added, failed = await _restore(queue, rows, jobs)
        swept.messages += added
        for row in failed:
            swept.failed += 1
            await self._give_up_message(row)

    async def _runs(self, rows: _Rows, swept: Swept) -> None:
        queue = self._queues.automation
        jobs = [
            step_job(queue, organization_id=row.organization_id, instance_id=row.instance_id, run_id=row.id)
            for row in rows
        ]
        added, failed = await _restore(queue, rows, jobs)
        swept.runs += added
        for row in failed:
            swept.failed += 1
            statement = update(automation_runs).where(
                automation_runs.c.id == row.id, automation_runs.c.status == "open"
            )
            data = {
                "run_id": str(row.id),
                "automation_id": str(row.automation_id),
                "message_id": str(row.message_id),
                "instance_id": row.instance_id,
                "reason": "its job failed for good",
            }
            async with self._database.begin() as connection:
                closed = await connection.execute(statement.values(status="failed"))
                if closed.rowcount == 0:
                    continue
                told = await emit(connection, row.organization_id, EventType.AUTOMATION_RUN_FAILED, data)
            await enqueue(self._queues, told)

    async def _campaigns(self, rows: _Rows, swept: Swept) -> None:
        queue = self._queues.campaign
        jobs = [
            tick_job(queue, organization_id=row.organization_id, instance_id=row.instance_id, campaign_id=row.id)
            for row in rows
        ]
        # A campaign outlives a tick that failed: its next tick has the next recipient, or the same one, unharmed.
        added, _ = await _restore(queue, rows, jobs, failed_too=True)
        swept.campaigns += added

    async def _webhooks(self, rows: _Rows, swept: Swept) -> None:
        queue = self._queues.webhook
        jobs = [
            deliver_job(
                queue,
                organization_id=row.organization_id,
                endpoint_id=row.endpoint_id,
                delivery_id=row.id,
                round_=row.round,
            )
            for row in rows
        ]
        added, failed = await _restore(queue, rows, jobs)
        swept.webhooks += added
        for row in failed:
            swept.failed += 1
            statement = update(webhook_deliveries).where(
                webhook_deliveries.c.id == row.id,
                webhook_deliveries.c.round == row.round,
                webhook_deliveries.c.status == "pending",
            )
            async with self._database.begin() as connection:
                await connection.execute(statement.values(status="failed", error="its job failed for good"))

    async def _give_up_message(self, row: Row[Any]) -> None:
        """Say on the row that its job is a dead letter, for people to judge, rather than fail once a minute for ever.

        The number of attempts lets a person's retry send it again (see ``OutboundHandler``).
        """
        was_sending = row.status == MessageStatus.SENDING
        status = MessageStatus.IN_DOUBT if was_sending else MessageStatus.FAILED
        statement = update(messages).where(
            messages.c.id == row.id, messages.c.status == row.status, messages.c.updated_at == row.updated_at
        )
        values = {
            "status": status.value,
            "failure_code": _FAILED,
            "failure_reason": "its job failed for good: see the dead letters of 'outbound'",
            "attempts": self._queues.outbound.defaults.attempts,
            "updated_at": moment(self._clock()),
        }
        async with self._database.begin() as connection:
            closed = await connection.execute(statement.values(values))
            if closed.rowcount == 0:
                return
            told = await became(
                connection,
                organization_id=row.organization_id,
                instance_id=row.instance_id,
                message_id=row.id,
                wire_id=row.wire_id,
                status=status.value,
                at=moment(self._clock()),
                code=_FAILED,
                reason=str(values["failure_reason"]),
            )
        await enqueue(self._queues, told)


def _is_held() -> ColumnElement[bool]:
    """Tell of a message whether its campaign is paused: it waits without a job."""
    return (
        exists()
        .where(
            campaign_recipients.c.message_id == messages.c.id,
            campaigns.c.id == campaign_recipients.c.campaign_id,
            campaigns.c.status == "paused",
            messages.c.status == MessageStatus.QUEUED.value,
        )
        .correlate(messages)
    )


async def _restore(
    queue: Queue, rows: _Rows, jobs: Sequence[NewJob], *, failed_too: bool = False
) -> tuple[int, list[Row[Any]]]:
    """Add the jobs that are gone or done with; return how many, and the rows whose jobs failed for good."""
    lost = LostJobs(queue)
    places = await lost.whereabouts([_id(job) for job in jobs])
    gone = [job for job, place in zip(jobs, places, strict=True) if place is Whereabouts.GONE]
    await queue.add_bulk(gone)
    added = len(gone)
    failed: list[Row[Any]] = []
    for row, job, place in zip(rows, jobs, places, strict=True):
        if place is Whereabouts.COMPLETED or (place is Whereabouts.FAILED and failed_too):
            added += await lost.add_again(job)
        elif place is Whereabouts.FAILED:
            failed.append(row)
    return added, failed


def _id(job: NewJob) -> str:
    assert job.options is not None
    assert job.options.job_id is not None
    return job.options.job_id
