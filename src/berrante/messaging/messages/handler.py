"""The queue ``message``: stores what came in, starts automations, and follows receipts; many jobs in one run."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from berrante.engine import Job, Unrecoverable
from berrante.messaging.automations.jobs import step_job
from berrante.messaging.clock import Clock, milliseconds, moment
from berrante.messaging.endpoints.emitting import Told, emit_all, enqueue
from berrante.messaging.errors import ReceiptTooEarly
from berrante.messaging.instances.tenancy import owners, refused
from berrante.messaging.messages import receipts
from berrante.messaging.messages.incoming import Incoming, Stored, incoming, store
from berrante.messaging.messages.jobs import INCOMING, RECEIPT, IncomingPayload, ReceiptPayload
from berrante.messaging.messages.receipts import Applied, receipt
from berrante.messaging.outage import is_away, waits
from berrante.messaging.payloads import read
from berrante.messaging.queues import Queues
from berrante.store import Database

if TYPE_CHECKING:
    from uuid import UUID

#: Organizations of one run that are written at once, each over a connection of its own.
_AT_ONCE: Final = 4
_Outcomes = dict[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Taken:
    """A job, and what it asks for."""

    job: Job
    asks: Incoming | receipts.Told


class MessageHandler:
    """Handles batches of ``incoming`` and ``receipt``; each may be delivered any number of times.

    An organization's jobs of a batch are one transaction, which sees that organization's rows alone. If it fails, each
    job is tried in one of its own: the one that cannot be stored fails, and takes no other with it.
    """

    def __init__(self, *, database: Database, queues: Queues, clock: Clock) -> None:
        self._database = database
        self._queues = queues
        self._clock = clock
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def __call__(self, jobs: Sequence[Job]) -> Mapping[str, object]:
        """Handle jobs in their order; the answer holds an outcome, or what was raised, for each by its id."""
        outcomes: _Outcomes = {}
        shares: dict[UUID, list[_Taken]] = {}
        for job in jobs:
            try:
                taken = _Taken(job=job, asks=_read(job))
            except Unrecoverable as error:
                outcomes[job.id] = error
            else:
                shares.setdefault(taken.asks.organization_id, []).append(taken)
        for settled in await asyncio.gather(*(self._share(share) for share in shares.values())):
            outcomes |= settled
        return outcomes

    async def _share(self, share: Sequence[_Taken]) -> _Outcomes:
        async with self._places:
            return await self._settle(share)

    async def _settle(self, share: Sequence[_Taken]) -> _Outcomes:
        try:
            return await self._handle(share)
        except Exception as error:  # noqa: BLE001  it is the outcome of the jobs that it concerns
            if is_away(error):
                return {taken.job.id: waits(taken.job, error) for taken in share}
            if len(share) == 1:
                return {share[0].job.id: error}
        outcomes: _Outcomes = {}
        for taken in share:
            outcomes |= await self._settle([taken])
        return outcomes

    async def _handle(self, share: Sequence[_Taken]) -> _Outcomes:
        organization_id = share[0].asks.organization_id
        async with self._database.tenant(organization_id) as connection:
            owned = await owners(connection, {taken.asks.instance_id for taken in share})
            mine = [taken for taken in share if owned.get(taken.asks.instance_id) == organization_id]
            now = moment(self._clock())
            told_of = [taken for taken in mine if isinstance(taken.asks, receipts.Told)]
            written = [taken for taken in mine if isinstance(taken.asks, Incoming)]
            # Receipts first: an answer counts for a campaign's message that is known to be sent.
            applied = await receipts.apply(
                connection, organization_id, [t.asks for t in told_of if isinstance(t.asks, receipts.Told)], now=now
            )
            stored = await store(
                connection, organization_id, [t.asks for t in written if isinstance(t.asks, Incoming)], now=now
            )
            came: dict[str, Applied | Stored | None] = {
                taken.job.id: each
                for taken, each in [*zip(told_of, applied, strict=True), *zip(written, stored, strict=True)]
            }
            happenings = [
                happening for taken in mine if (each := came[taken.job.id]) is not None for happening in each.happenings
            ]
            told = await emit_all(connection, happenings)
        outcomes = await self._enqueue(mine, came, told)
        for taken in share:
            if taken.job.id not in came:
                outcomes[taken.job.id] = await self._refusal(taken)
        return outcomes

    async def _enqueue(
        self, mine: Sequence[_Taken], came: Mapping[str, Applied | Stored | None], told: Sequence[Told]
    ) -> _Outcomes:
        try:
            await self._steps(mine, came)
            await enqueue(self._queues, told)
        except Exception as error:  # noqa: BLE001  the rows are there: each job runs again, finds them and adds theirs
            return {taken.job.id: error for taken in mine}
        return {taken.job.id: _outcome(taken, came[taken.job.id]) for taken in mine}

    async def _steps(self, mine: Sequence[_Taken], came: Mapping[str, Applied | Stored | None]) -> None:
        now_ms = self._clock()
        jobs = {
            run.id: step_job(
                self._queues.automation,
                organization_id=taken.asks.organization_id,
                instance_id=taken.asks.instance_id,
                run_id=run.id,
                delay_ms=milliseconds(run.due_at) - now_ms,
            )
            for taken in mine
            if isinstance(each := came[taken.job.id], Stored)
            for run in each.opened
        }
        if jobs:
            await self._queues.automation.add_bulk(list(jobs.values()))

    async def _refusal(self, taken: _Taken) -> Unrecoverable:
        """Say why a job's number is none of its organization; only a view of all can tell."""
        async with self._database.platform(because="whose the number is, is the question") as connection:
            owned = await owners(connection, {taken.asks.instance_id})
        return refused(taken.asks.organization_id, taken.asks.instance_id, owned)


def _read(job: Job) -> Incoming | receipts.Told:
    match job.name:
        case name if name == INCOMING:
            return incoming(read(job, IncomingPayload))
        case name if name == RECEIPT:
            return receipt(read(job, ReceiptPayload))
        case name:
            raise Unrecoverable(f"queue 'message' has no jobs named {name!r}: use 'incoming' or 'receipt'")


def _outcome(taken: _Taken, came: Applied | Stored | None) -> object:
    if came is None and isinstance(taken.asks, receipts.Told):
        return ReceiptTooEarly(taken.asks.about, instance_id=taken.asks.instance_id)
    assert came is not None
    return came.outcome
