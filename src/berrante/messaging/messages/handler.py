"""The queue ``message``: stores what came in, starts automations, and follows receipts; many jobs in one run."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from berrante.engine import Job, Unrecoverable
from berrante.gateways.protocol import Gateway
from berrante.messaging.clock import Clock, moment
from berrante.messaging.cloud_numbers import updates
from berrante.messaging.endpoints.emitting import enqueue
from berrante.messaging.instances.tenancy import gateway_of
from berrante.messaging.messages.incoming import incoming
from berrante.messaging.messages.jobs import (
    INCOMING,
    MEDIA,
    RECEIPT,
    UPDATE,
    IncomingPayload,
    MediaPayload,
    ReceiptPayload,
    UpdatePayload,
)
from berrante.messaging.messages.media import MediaFetcher
from berrante.messaging.messages.receipts import receipt
from berrante.messaging.messages.sharing import Shares, Taken
from berrante.messaging.outage import is_away, waits
from berrante.messaging.outbound.signals import Listener, deaf
from berrante.messaging.payloads import checked, point_in_time, read
from berrante.messaging.queues import Queues
from berrante.messaging.quotas import Quotas
from berrante.messaging.traces import Traces, Untraced
from berrante.store import Database

if TYPE_CHECKING:
    from uuid import UUID

#: Of one run: organizations that are written at once, and files that are fetched at once.
_AT_ONCE: Final = 4
_Outcomes = dict[str, object]


class MessageHandler:
    """Handles batches of ``incoming``, ``receipt``, ``update`` and ``media``; each may come any number of times.

    What an organization's contacts wrote, and the receipts of what it sent, are one transaction of a batch, which sees
    that organization's rows alone. If it fails, each job is tried in one of its own: the one that cannot be stored
    fails, and takes no other with it.
    """

    def __init__(
        self,
        *,
        database: Database,
        queues: Queues,
        clock: Clock,
        gateways: Mapping[str, Gateway] | None = None,
        listener: Listener = deaf,
        traces: Traces = Untraced(),  # noqa: B008  it holds nothing
        quotas: Quotas | None = None,
    ) -> None:
        self._database = database
        self._queues = queues
        self._clock = clock
        self._listener = listener
        self._media = MediaFetcher(database, gateways or {}, clock)
        self._shares = Shares(
            database,
            queues,
            clock=clock,
            listener=listener,
            gateways=gateways or {},
            can_fetch=self._media.can_fetch,
            traces=traces,
            quotas=quotas,
        )

    async def __call__(self, jobs: Sequence[Job]) -> Mapping[str, object]:
        """Handle jobs in their order; the answer holds an outcome, or what was raised, for each by its id."""
        outcomes: _Outcomes = {}
        shares: dict[UUID, list[Taken]] = {}
        told: list[Job] = []
        files: list[Job] = []
        for job in jobs:
            match job.name:
                case name if name == UPDATE:
                    told.append(job)
                case name if name == MEDIA:
                    files.append(job)
                case _:
                    try:
                        taken = _read(job)
                    except Unrecoverable as error:
                        outcomes[job.id] = error
                    else:
                        shares.setdefault(taken.asks.organization_id, []).append(taken)
        places = asyncio.Semaphore(_AT_ONCE)

        # Each is called once it has its place: a run that is cancelled before leaves nothing behind that nobody awaits.
        async def placed(work: Callable[[], Awaitable[_Outcomes]]) -> _Outcomes:
            async with places:
                return await work()

        works: list[Callable[[], Awaitable[_Outcomes]]] = [partial(self._settle, share) for share in shares.values()]
        works += [partial(self._updates, told), *(partial(_alone, job, self._fetch) for job in files)]
        for settled in await asyncio.gather(*(placed(work) for work in works)):
            outcomes |= settled
        return outcomes

    async def _settle(self, share: Sequence[Taken]) -> _Outcomes:
        try:
            return await self._shares.handle(share)
        except Exception as error:  # noqa: BLE001  it is the outcome of the jobs that it concerns
            if is_away(error):
                return {taken.job.id: waits(taken.job, error) for taken in share}
            if len(share) == 1:
                return {share[0].job.id: error}
        outcomes: _Outcomes = {}
        for taken in share:
            outcomes |= await self._settle([taken])
        return outcomes

    async def _updates(self, jobs: Sequence[Job]) -> _Outcomes:
        outcomes: _Outcomes = {}
        for job in jobs:
            outcomes |= await _alone(job, self._update)
        return outcomes

    async def _fetch(self, job: Job) -> object:
        return await self._media(read(job, MediaPayload))

    async def _update(self, job: Job) -> object:
        payload = read(job, UpdatePayload)
        now = moment(self._clock())
        at = now if payload.at in {0, "0"} else moment(checked(lambda: point_in_time(payload.at, field="at")))
        async with self._database.begin() as connection:
            await gateway_of(connection, organization_id=payload.organization_id, instance_id=payload.instance_id)
            applied = await updates.apply(
                connection,
                organization_id=payload.organization_id,
                instance_id=payload.instance_id,
                account_id=payload.account_id,
                kind=payload.kind,
                subject=payload.subject,
                details=payload.details,
                at=at,
                now=now,
            )
        if applied is None:
            return {"status": "old", "kind": payload.kind}
        await enqueue(self._queues, applied.told)
        for signal in applied.signals:
            await self._listener(signal)
        return {"status": "applied", "kind": payload.kind}


async def _alone(job: Job, handle: Callable[[Job], Awaitable[object]]) -> _Outcomes:
    try:
        return {job.id: await handle(job)}
    except Exception as error:  # noqa: BLE001  it is the job's outcome
        return {job.id: waits(job, error) if is_away(error) else error}


def _read(job: Job) -> Taken:
    match job.name:
        case name if name == INCOMING:
            return Taken(job=job, asks=incoming(read(job, IncomingPayload)))
        case name if name == RECEIPT:
            return Taken(job=job, asks=receipt(read(job, ReceiptPayload)))
        case name:
            raise Unrecoverable(f"queue 'message' has no jobs named {name!r}: use 'incoming' or 'receipt'")
