"""What follows from WhatsApp's answer to a send: for the message, its contact, template, number and account."""

from collections.abc import Callable, Hashable
from typing import Any, Final
from uuid import UUID

from berrante.engine import RateLimited, Snooze
from berrante.gateways.protocol import Action, Content, Scope, SendError
from berrante.messaging.clock import Clock, moment
from berrante.messaging.endpoints.emitting import Told, emit_all, enqueue
from berrante.messaging.instance_states import review, stops_whole_number
from berrante.messaging.messages.status import MessageStatus
from berrante.messaging.outbound import sending_holds
from berrante.messaging.outbound.claims import Claim, Found
from berrante.messaging.outbound.holds import Holds
from berrante.messaging.outbound.jobs import SendPayload
from berrante.messaging.outbound.outcomes import Outcomes
from berrante.messaging.outbound.policy import Charge, GiveUp, Postpone, react
from berrante.messaging.outbound.policy.holding import LOOK_MS, Hold, hold_after
from berrante.messaging.outbound.rates import Rates
from berrante.messaging.outbound.signals import Held, Listener, Suppressed
from berrante.messaging.queues import Queues
from berrante.store import Database

_MANY: Final = 10_000


class Reactions:
    """Stores what came of a send, and stops what has to stop: for seconds in this process, for longer in the database.

    The message's own row comes first. A process that is killed before the rest is stored learns it anew from the next
    send that is refused.
    """

    def __init__(
        self,
        database: Database,
        queues: Queues,
        outcomes: Outcomes,
        *,
        clock: Clock,
        listener: Listener,
        chance: Callable[[], float],
    ) -> None:
        self._database = database
        self._queues = queues
        self._outcomes = outcomes
        self._clock = clock
        self._listener = listener
        self._chance = chance
        self._rests = Holds(clock=clock)
        self._rates = Rates(database, clock=clock, listener=listener)
        self._strikes: dict[Hashable, int] = {}

    def resting_ms(self, payload: SendPayload, contact_id: UUID | None = None) -> int:
        """Return for how long the account, or (if given) the pair of number and contact rests."""
        return self._rests.remaining_ms(_account(payload), *([_pair(payload, contact_id)] if contact_id else []))

    async def accepted(self, payload: SendPayload, found: Found) -> None:
        """All is well: a number that was slowed may recover."""
        self._strikes.pop(_pair(payload, found.contact_id), None)
        await self._rates.recover(organization_id=payload.organization_id, instance_id=payload.instance_id)

    async def refused(
        self, payload: SendPayload, found: Found, content: Content, claim: Claim, error: SendError, *, is_last: bool
    ) -> object:
        """Store the refusal and return the job's outcome, or raise the error to have an attempt used."""
        now_ms = self._clock()
        pair = _pair(payload, found.contact_id)
        strikes = self._strike(pair) if error.scope is Scope.RECIPIENT and error.action is Action.RETRY else 1
        reaction = react(error, tries=found.attempts, strikes=strikes, chance=self._chance())
        match reaction:
            case GiveUp():
                await self._outcomes.failed(claim, error, charged=False, now_ms=now_ms)
            case Charge() if is_last:
                await self._outcomes.failed(claim, error, charged=True, now_ms=now_ms)
            case Charge():
                await self._outcomes.released(claim, error, charged=True, now_ms=now_ms)
            case Postpone(counted=counted):
                await self._outcomes.released(claim, error, charged=counted, now_ms=now_ms)
        lasting = await self._stop(payload, found, content, error, now_ms=now_ms)
        match reaction:
            case GiveUp():
                return {"status": MessageStatus.FAILED.value, "code": error.code}
            case Charge():
                raise error
            case Postpone(delay_ms, holds, counted):
                if lasting is not None and not counted:
                    # Somebody may end the hold before its time.
                    delay_ms = min(delay_ms, LOOK_MS)
                    return RateLimited(delay_ms) if lasting.stops_number else Snooze(delay_ms)
                if holds is Scope.NUMBER:
                    return RateLimited(delay_ms)  # its lane rests, for all workers
                if holds is not None:
                    self._rests.hold(_account(payload), delay_ms)
                elif error.scope is Scope.RECIPIENT and not error.campaigns_only:
                    self._rests.hold(pair, delay_ms)
                return Snooze(delay_ms)

    async def _stop(
        self, payload: SendPayload, found: Found, content: Content, error: SendError, *, now_ms: int
    ) -> Hold | None:
        if error.too_fast:
            await self._rates.slow_down(organization_id=payload.organization_id, instance_id=payload.instance_id)
        hold = hold_after(error, content=content, contact_id=found.contact_id, now_ms=now_ms)
        if hold is None:
            return None
        place: dict[str, Any] = {"organization_id": payload.organization_id, "instance_id": payload.instance_id}
        told: list[Told] = []
        async with self._database.begin() as connection:
            await sending_holds.place(connection, hold, **place, now=moment(now_ms))
            if stops_whole_number(hold):
                told = await emit_all(connection, await review(connection, **place, now=moment(now_ms)))
        await enqueue(self._queues, told)
        await tell(self._listener, hold, error, **place, contact_id=found.contact_id)
        return hold

    def _strike(self, pair: Hashable) -> int:
        if len(self._strikes) >= _MANY:
            self._strikes.clear()
        self._strikes[pair] = self._strikes.get(pair, 0) + 1
        return self._strikes[pair]


async def tell(
    listener: Listener, hold: Hold, error: SendError, *, organization_id: UUID, instance_id: str, contact_id: UUID
) -> None:
    """Tell of a hold; of a contact that wants no marketing, by its own name."""
    if error.action is Action.SUPPRESS:
        await listener(
            Suppressed(
                organization_id=organization_id,
                instance_id=instance_id,
                contact_id=contact_id,
                code=error.code,
                reason=str(error),
            )
        )
    else:
        await listener(Held(organization_id=organization_id, instance_id=instance_id, hold=hold))


def _account(payload: SendPayload) -> Hashable:
    return (Scope.ACCOUNT, payload.organization_id)


def _pair(payload: SendPayload, contact_id: UUID) -> Hashable:
    return (Scope.RECIPIENT, payload.instance_id, contact_id)
