"""One transaction in which many messages are found, asked about, and claimed: each gets its own decision."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.engine import Queue, RateLimited, Snooze, Unrecoverable
from berrante.gateways.protocol import Content, Gateway, SendError
from berrante.messaging.clock import Clock, milliseconds, moment
from berrante.messaging.contacts.consent import Addressed, refusals
from berrante.messaging.endpoints.emitting import Happening, emit_all, enqueue
from berrante.messaging.endpoints.messages import changed
from berrante.messaging.errors import GatewayMissing
from berrante.messaging.instances.tenancy import owners_of, refused
from berrante.messaging.messages.status import MessageStatus
from berrante.messaging.outbound import claims, gate, order
from berrante.messaging.outbound.allowances import Pair
from berrante.messaging.outbound.claims import Claim, Found
from berrante.messaging.outbound.jobs import SendPayload
from berrante.messaging.outbound.policy import Doubt, Hold, Leave, Send, Skip, Wait, next_step
from berrante.messaging.outbound.writing import gateway_named
from berrante.messaging.queues import Queues
from berrante.store import Database

_CUT_OFF: Final = "its worker ended between claim and answer"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A job that wants to send its message."""

    payload: SendPayload
    attempt: int
    attempts: int
    #: What the row keeps of a trace, and the trace of what is told.
    kept: str | None = None
    trace_context: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Granted:
    """The message is the caller's, who sends it now."""

    gateway: Gateway
    found: Found
    content: Content
    claim: Claim


#: The claim, or the job's outcome.
Decision = Granted | Snooze | RateLimited | dict[str, object]


@dataclass(kw_only=True, slots=True)
class _Open:
    """A message that is still to be decided on."""

    asked: Asked
    gateway: Gateway
    found: Found
    content: Content | None = None

    @property
    def is_out(self) -> bool:
        """Tell whether it may be out already: then it is sent again under its wire id, or the row would say skipped."""
        return self.found.status is MessageStatus.SENDING


@dataclass(kw_only=True, slots=True)
class _Round:
    """The decisions of one transaction, by the places of the questions."""

    connection: AsyncConnection
    now_ms: int
    decided: dict[int, Decision | Exception] = field(default_factory=dict)
    open: dict[int, _Open] = field(default_factory=dict)
    #: Places that were settled, and what is to be told of them.
    settled: list[int] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)

    def decide(self, place: int, decision: Decision | Exception) -> None:
        self.decided[place] = decision
        self.open.pop(place, None)

    async def settle(self, place: int, status: MessageStatus, reason: str, *, code: str | None = None) -> None:
        """Give a message its last status without sending it; what is skipped is told by whoever called it off."""
        each = self.open[place]
        found = each.found
        await claims.settle(self.connection, found, status, now_ms=self.now_ms, reason=reason, code=code)
        if status is not MessageStatus.SKIPPED:
            self.happenings.append(_news(each, status, self.now_ms, reason=reason, code=code))
        self.settled.append(place)
        outcome: dict[str, object] = {"status": status.value}
        self.decide(place, outcome | {"code": code} if code else outcome)


class Claiming:
    """Decides on many messages at once. ``resting_ms`` tells for how long an account, or a pair, rests."""

    def __init__(
        self,
        database: Database,
        queues: Queues,
        gateways: Mapping[str, Gateway],
        *,
        clock: Clock,
        resting_ms: Callable[[SendPayload, UUID | None], int],
    ) -> None:
        self._database = database
        self._queues = queues
        self._gateways = gateways
        self._clock = clock
        self._resting_ms = resting_ms

    async def decide(self, asked: Sequence[Asked]) -> list[Decision | Exception]:
        """Answer each, in order; an exception is that of its job alone."""
        async with self._database.begin() as connection:
            round_ = _Round(connection=connection, now_ms=self._clock())
            await self._find(round_, asked)
            await self._step(round_)
            await _ask_people(round_)
            await self._read(round_)
            await _keep_order(round_, self._queues.outbound)
            await _pass_gate(round_)
            await _claim(round_)
            told = await emit_all(connection, round_.happenings)
        try:
            await enqueue(self._queues, told)
        except Exception as error:  # noqa: BLE001  the claims are committed: those jobs must go on
            round_.decided |= dict.fromkeys(round_.settled, error)
        return [round_.decided[place] for place in range(len(asked))]

    async def _find(self, round_: _Round, asked: Sequence[Asked]) -> None:
        owners = await owners_of(round_.connection, {each.payload.instance_id for each in asked})
        gateways: dict[int, Gateway] = {}
        for place, each in enumerate(asked):
            organization_id, instance_id = each.payload.organization_id, each.payload.instance_id
            owner = owners.get(instance_id)
            if owner is None or owner[0] != organization_id:
                round_.decide(place, refused(organization_id, instance_id, is_there=owner is not None))
                continue
            try:
                gateways[place] = gateway_named(self._gateways, owner[1])
            except GatewayMissing as error:
                round_.decide(place, error)
        wanted = [asked[place].payload for place in gateways]
        found = await claims.find(round_.connection, wanted, now_ms=round_.now_ms) if wanted else {}
        for place, gateway in gateways.items():
            payload = asked[place].payload
            if payload not in found:
                reason = f"instance {payload.instance_id!r} has no outgoing message {payload.message_id}"
                round_.decide(place, Unrecoverable(reason))
            elif any(each.asked.payload == payload for each in round_.open.values()):
                # A job that was taken twice, here: the second comes again, and sees what became of the first.
                round_.decide(place, Snooze(order.LOOK_MS))
            else:
                round_.open[place] = _Open(asked=asked[place], gateway=gateway, found=found[payload])

    async def _step(self, round_: _Round) -> None:
        for place, each in list(round_.open.items()):
            found = each.found
            step = next_step(
                found.status,
                idle_ms=round_.now_ms - milliseconds(found.updated_at),
                resend_is_safe=each.gateway.resend_is_safe,
                called_off=found.called_off is not None,
                on_hold=found.on_hold,
                # A finished job that runs again from its first attempt was put back by a person.
                second_chance=found.attempts >= each.asked.attempts and each.asked.attempt == 1,
            )
            match step:
                case Leave():
                    round_.decide(place, {"status": found.status.value})
                case Wait(delay_ms):
                    round_.decide(place, Snooze(delay_ms))
                case Hold():
                    round_.decide(place, {"status": found.status.value, "held": True})
                case Skip():
                    await round_.settle(place, MessageStatus.SKIPPED, found.called_off or "")
                case Doubt():
                    await round_.settle(place, MessageStatus.IN_DOUBT, _CUT_OFF)
                case Send():
                    pass

    async def _read(self, round_: _Round) -> None:
        for place, each in list(round_.open.items()):
            content = gate.read(each.found.content)
            if isinstance(content, SendError):
                await round_.settle(place, MessageStatus.FAILED, str(content), code=content.code)
            elif rest_ms := self._resting_ms(each.asked.payload, each.found.contact_id):
                round_.decide(place, Snooze(rest_ms))
            else:
                each.content = content


async def _ask_people(round_: _Round) -> None:
    """Ask once more, in the claims' transaction, whether the contacts may be written to."""
    asked = {place: each.found for place, each in round_.open.items() if not each.is_out}
    addressed = [Addressed(found.organization_id, found.contact_id, found.origin) for found in asked.values()]
    for place, why in zip(asked, await refusals(round_.connection, addressed), strict=True):
        if why is not None:
            await round_.settle(place, MessageStatus.SKIPPED, why.reason, code=why.value)


async def _keep_order(round_: _Round, outbound: Queue) -> None:
    queued = {each.found.id: place for place, each in round_.open.items() if each.found.status is MessageStatus.QUEUED}
    founds = [round_.open[place].found for place in queued.values()]
    for message_id in await order.behind(round_.connection, outbound, founds):
        round_.decide(queued[message_id], Snooze(order.LOOK_MS))


async def _pass_gate(round_: _Round) -> None:
    places = list(round_.open)
    cases = [_case(each) for each in round_.open.values()]
    for place, verdict in zip(places, await gate.verdicts(round_.connection, cases, now_ms=round_.now_ms), strict=True):
        match verdict:
            case gate.Rests(delay_ms, of_number):
                # Its whole lane rests rather than this job: the order stays, and the next is not even started.
                round_.decide(place, RateLimited(delay_ms) if of_number else Snooze(delay_ms))
            case gate.Refused(error):
                await round_.settle(place, MessageStatus.FAILED, str(error), code=error.code)
            case gate.NotWanted(reason) if not round_.open[place].is_out:
                await round_.settle(place, MessageStatus.SKIPPED, reason)
            case gate.Passes() | gate.NotWanted():  # what may be out already is sent again under its wire id
                pass


def _case(each: _Open) -> gate.Case:
    assert each.content is not None
    found = each.found
    pair = Pair(organization_id=found.organization_id, instance_id=found.instance_id, contact_id=found.contact_id)
    whom = gate.Whom(pair=pair, origin=found.origin, last_wrote_at=found.last_wrote_at)
    return gate.Case(content=each.content, whom=whom, gateway=each.gateway.name)


async def _claim(round_: _Round) -> None:
    left = dict(round_.open)
    traces = [each.asked.kept for each in left.values()]
    founds = [each.found for each in left.values()]
    mine = await claims.claim(round_.connection, founds, now_ms=round_.now_ms, traces=traces)
    for (place, each), claim in zip(left.items(), mine, strict=True):
        assert each.content is not None
        granted = Granted(gateway=each.gateway, found=each.found, content=each.content, claim=claim)
        round_.decide(place, granted)


def _news(each: _Open, status: MessageStatus, now_ms: int, *, reason: str, code: str | None) -> Happening:
    found = each.found
    return changed(
        organization_id=found.organization_id,
        instance_id=found.instance_id,
        message_id=found.id,
        wire_id=found.wire_id,
        status=status.value,
        at=moment(now_ms),
        code=code,
        reason=reason,
        trace_context=each.asked.trace_context,
    )
