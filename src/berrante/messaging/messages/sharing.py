"""An organization's share of a batch: its messages and receipts in one transaction, and the jobs that follow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.engine import Job, NewJob, Unrecoverable
from berrante.engine.tracing import carrying
from berrante.gateways.protocol import Gateway
from berrante.messaging.automations.jobs import step_job
from berrante.messaging.clock import Clock, milliseconds, moment
from berrante.messaging.endpoints.emitting import Told as Delivery
from berrante.messaging.endpoints.emitting import emit_all, enqueue
from berrante.messaging.errors import ReceiptTooEarly
from berrante.messaging.instance_states import review, stops_whole_number
from berrante.messaging.instances.tenancy import is_known, refused
from berrante.messaging.messages import late_refusals, receipts
from berrante.messaging.messages.incoming import Incoming, Stored, store
from berrante.messaging.messages.jobs import media_job
from berrante.messaging.messages.late_refusals import Stopped
from berrante.messaging.messages.media import to_fetch
from berrante.messaging.messages.origin import Origin
from berrante.messaging.messages.receipts import Applied, Told
from berrante.messaging.messages.standing import Standing, standing
from berrante.messaging.outbound.jobs import send_job
from berrante.messaging.outbound.signals import Listener
from berrante.messaging.outbound.writing import gateway_named
from berrante.messaging.queues import Queues
from berrante.messaging.quotas import Quotas
from berrante.messaging.traces import Traces
from berrante.store import Database

_Came = Mapping[str, Applied | Stored | None]
_Outcomes = dict[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """A job, and what it asks for."""

    job: Job
    asks: Incoming | Told


class Shares:
    """Handles jobs of one organization, whose numbers are on ``gateways``.

    ``can_fetch`` tells of a gateway whether it fetches files.
    """

    def __init__(
        self,
        database: Database,
        queues: Queues,
        *,
        clock: Clock,
        listener: Listener,
        gateways: Mapping[str, Gateway],
        can_fetch: Callable[[str], bool],
        traces: Traces,
        quotas: Quotas | None = None,
    ) -> None:
        self._database = database
        self._quotas = quotas
        self._traces = traces
        self._queues = queues
        self._clock = clock
        self._listener = listener
        self._gateways = gateways
        self._can_fetch = can_fetch

    async def handle(self, share: Sequence[Taken]) -> _Outcomes:
        """Store all, and return what came of each; raises if the transaction failed, and then nothing is stored."""
        organization_id = share[0].asks.organization_id
        async with self._database.tenant(organization_id) as connection:
            names = {taken.asks.instance_id for taken in share}
            stands = await standing(connection, organization_id, names)
            gateways = stands.gateways
            mine = [taken for taken in share if taken.asks.instance_id in gateways]
            came = await self._store(connection, mine, stands)
            stopped = await self._stop(connection, mine, came, gateways)
            happenings = [
                replace(happening, trace_context=self._traces.within(taken.job))
                for taken in (mine if stands.has_endpoints else ())
                if (each := came[taken.job.id]) is not None
                for happening in each.happenings
            ]
            now = moment(self._clock())
            for instance_id in sorted({each.instance_id for each in stopped if stops_whole_number(each.hold)}):
                happenings += await review(
                    connection, organization_id=organization_id, instance_id=instance_id, now=now
                )
            told = await emit_all(connection, happenings) if stands.has_endpoints else []
        for taken in mine:
            _joined(self._traces, taken, came[taken.job.id])
        outcomes: _Outcomes
        try:
            await self._follow(mine, came, gateways, told)
            for stop in stopped:
                await stop.tell(self._listener)
        except Exception as error:  # noqa: BLE001  the rows are there: each job runs again, finds them and adds theirs
            outcomes = {taken.job.id: error for taken in mine}
        else:
            outcomes = {taken.job.id: _outcome(taken, came[taken.job.id]) for taken in mine}
        for taken in share:
            if taken.asks.instance_id not in gateways:
                outcomes[taken.job.id] = await self._refusal(taken)
        return outcomes

    async def _store(self, connection: AsyncConnection, mine: Sequence[Taken], stands: Standing) -> _Came:
        if not mine:
            return {}
        organization_id, now = mine[0].asks.organization_id, moment(self._clock())
        told = {taken.job.id: taken.asks for taken in mine if isinstance(taken.asks, Told)}
        written = {taken.job.id: taken.asks for taken in mine if isinstance(taken.asks, Incoming)}
        # Receipts first: an answer counts for a campaign's message that is known to be sent.
        applied = await receipts.apply(connection, organization_id, list(told.values()), now=now)
        stored = await store(
            connection,
            organization_id,
            list(written.values()),
            gateway_of=lambda instance_id: gateway_named(self._gateways, stands.gateways[instance_id]),
            stands=stands,
            now=now,
        )
        return {**dict(zip(told, applied, strict=True)), **dict(zip(written, stored, strict=True))}

    async def _stop(
        self, connection: AsyncConnection, mine: Sequence[Taken], came: _Came, gateways: Mapping[str, str]
    ) -> list[Stopped]:
        found = []
        for taken in mine:
            applied = came[taken.job.id]
            if isinstance(taken.asks, Told) and isinstance(applied, Applied) and applied.is_news:
                gateway = gateways[taken.asks.instance_id]
                found.append(
                    await late_refusals.stop(connection, taken.asks, applied, gateway=gateway, now_ms=self._clock())
                )
        return [each for each in found if each is not None]

    async def _follow(
        self, mine: Sequence[Taken], came: _Came, gateways: Mapping[str, str], told: Sequence[Delivery]
    ) -> None:
        """Add the jobs of what was committed, those too of messages that were known: they may have been lost."""
        steps: dict[object, NewJob] = {}
        files: dict[object, NewJob] = {}
        answers: list[NewJob] = []
        now_ms = self._clock()
        for taken in mine:
            asks, each = taken.asks, came[taken.job.id]
            if not isinstance(asks, Incoming) or not isinstance(each, Stored):
                continue
            for run in each.opened:
                step = step_job(
                    self._queues.automation,
                    organization_id=asks.organization_id,
                    instance_id=asks.instance_id,
                    run_id=run.id,
                    delay_ms=milliseconds(run.due_at) - now_ms,
                )
                steps[run.id] = self._following(taken.job, step)
            if each.answer is not None:
                answer = send_job(
                    self._queues.outbound,
                    organization_id=asks.organization_id,
                    instance_id=asks.instance_id,
                    message_id=each.answer,
                    priority=Origin.AUTOMATION.priority,
                )
                answers.append(self._following(taken.job, answer))
            if each.status != "echo" and to_fetch(asks.content) and self._can_fetch(gateways[asks.instance_id]):
                file = media_job(
                    self._queues.message,
                    organization_id=asks.organization_id,
                    instance_id=asks.instance_id,
                    message_id=each.message_id,
                )
                files[each.message_id] = self._following(taken.job, file)
        if steps:
            await self._queues.automation.add_bulk(list(steps.values()))
        if answers:  # killed before this line, the reconciler adds them
            await self._queues.outbound.add_bulk(answers)
            if self._quotas is not None:  # never refused: whoever opts out is told so
                await self._quotas.count_messages(mine[0].asks.organization_id, len(answers))
        await enqueue(self._queues, told)
        if files:
            await self._queues.message.add_bulk(list(files.values()))

    def _following(self, job: Job, new: NewJob) -> NewJob:
        """Return a job in the trace of the one that it follows from: a batch holds jobs of many."""
        return replace(new, options=carrying(self._traces.within(job), new.options)) if new.options else new

    async def _refusal(self, taken: Taken) -> Unrecoverable:
        """Say why a job's number is none of its organization; only a view of all can tell."""
        asks = taken.asks
        async with self._database.platform(because="whether another organization has the number") as connection:
            is_there = await is_known(connection, asks.instance_id)
        return refused(asks.organization_id, asks.instance_id, is_there=is_there)


def _joined(traces: Traces, taken: Taken, came: Applied | Stored | None) -> None:
    """Tell of a receipt in the trace of the send that it is about."""
    if isinstance(taken.asks, Told) and isinstance(came, Applied) and came.trace_context is not None:
        said = {"berrante.message_id": str(came.message_id), "berrante.status": came.holds.value}
        traces.heard(f"receipt {taken.asks.status}", taken.job, kept=came.trace_context, attributes=said)


def _outcome(taken: Taken, came: Applied | Stored | None) -> object:
    if came is None:
        assert isinstance(taken.asks, Told)
        return ReceiptTooEarly(taken.asks.about, instance_id=taken.asks.instance_id)
    return came.outcome
