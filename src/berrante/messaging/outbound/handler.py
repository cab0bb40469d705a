"""The queue ``outbound``: sends one stored message, so that its contact sees it at most once."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.engine import Job, RateLimited, Snooze, Unrecoverable
from berrante.gateways.protocol import Content, Gateway, InDoubt, OutboundMessage, SendError
from berrante.messaging.clock import Clock, milliseconds
from berrante.messaging.contacts.consent import Refusal, refusal
from berrante.messaging.endpoints.emitting import Told, enqueue
from berrante.messaging.instances.tenancy import gateway_of
from berrante.messaging.messages.content import quoted_of, reply_to_of
from berrante.messaging.messages.status import MessageStatus
from berrante.messaging.outbound import claims, gate, order
from berrante.messaging.outbound.allowances import Pair
from berrante.messaging.outbound.claims import Claim, Found, Outcomes
from berrante.messaging.outbound.jobs import SEND, SendPayload
from berrante.messaging.outbound.policy import (
    SEND_WITHIN_S,
    Doubt,
    Hold,
    Leave,
    Send,
    Skip,
    Wait,
    next_step,
)
from berrante.messaging.outbound.reactions import Reactions
from berrante.messaging.outbound.signals import Listener, deaf
from berrante.messaging.outbound.writing import gateway_named
from berrante.messaging.payloads import read
from berrante.messaging.queues import Queues
from berrante.messaging.traces import Traces, Untraced
from berrante.store import Database

_CUT_OFF: Final = "its worker ended between claim and answer"


def _ending(step: Skip | Doubt, found: Found) -> tuple[MessageStatus, str]:
    if isinstance(step, Doubt):
        return MessageStatus.IN_DOUBT, _CUT_OFF
    return MessageStatus.SKIPPED, found.called_off or ""


@dataclass(frozen=True, slots=True)
class _Settled:
    """A message that got its last status without being sent: the job's outcome, and what to tell after the commit."""

    outcome: dict[str, str]
    told: list[Told]


_Decided = tuple[Content, Claim] | Snooze | RateLimited | _Settled


class OutboundHandler:
    """Handles ``send``.

    Killed before the claim, nothing happened; killed after it, the row says ``sending``, and whoever takes the job next
    sends again under the same wire id where the gateway shows that once, or else calls it in doubt.
    """

    def __init__(
        self,
        *,
        database: Database,
        queues: Queues,
        gateways: Mapping[str, Gateway],
        clock: Clock,
        listener: Listener = deaf,
        chance: Callable[[], float] = random.random,
        traces: Traces = Untraced(),  # noqa: B008  it holds nothing
    ) -> None:
        self._database = database
        self._traces = traces
        self._queues = queues
        self._gateways = gateways
        self._clock = clock
        self._outcomes = Outcomes(database, queues)
        self._reactions = Reactions(database, queues, self._outcomes, clock=clock, listener=listener, chance=chance)

    async def __call__(self, job: Job) -> object:  # noqa: PLR0911  one return per step
        """Send one message; raises ``Unrecoverable`` for a job that can never be done, ``SendError`` to be retried."""
        if job.name != SEND:
            raise Unrecoverable(f"queue 'outbound' has no jobs named {job.name!r}: use 'send'")
        payload = read(job, SendPayload)
        held_ms = self._reactions.resting_ms(payload)
        if held_ms:
            return Snooze(held_ms)
        attempts = job.options.attempts
        async with self._database.begin() as connection:
            name = await gateway_of(
                connection, organization_id=payload.organization_id, instance_id=payload.instance_id
            )
            gateway = gateway_named(self._gateways, name)
            found = await claims.find(
                connection,
                organization_id=payload.organization_id,
                instance_id=payload.instance_id,
                message_id=payload.message_id,
                now_ms=(now_ms := self._clock()),
            )
            if found is None:
                raise Unrecoverable(f"instance {payload.instance_id!r} has no outgoing message {payload.message_id}")
            step = next_step(
                found.status,
                idle_ms=now_ms - milliseconds(found.updated_at),
                resend_is_safe=gateway.resend_is_safe,
                called_off=found.called_off is not None,
                on_hold=found.on_hold,
                # A finished job that runs again from its first attempt was put back by a person.
                second_chance=found.attempts >= attempts and job.attempt == 1,
            )
            match step:
                case Leave():
                    return {"status": found.status.value}
                case Wait(delay_ms):
                    return Snooze(delay_ms)
                case Hold():
                    return {"status": found.status.value, "held": True}
                case Skip() | Doubt():
                    decided: _Decided = await _settled(connection, found, now_ms, *_ending(step, found))
                case Send() if (refused := await self._refusal(connection, payload, found)) is not None:
                    ending = (MessageStatus.SKIPPED, refused.reason)
                    decided = await _settled(connection, found, now_ms, *ending, code=refused.value)
                case Send():
                    decided = await self._claimed(connection, payload, found, gateway=gateway.name, now_ms=now_ms)
        match decided:
            case Snooze() | RateLimited():
                return decided
            case _Settled(outcome, told):
                await enqueue(self._queues, told)
                return outcome
            case content, claim:
                return await self._send(gateway, payload, found, content, claim, is_last=job.attempt >= attempts)

    async def _claimed(  # noqa: PLR0911  one return per step
        self, connection: AsyncConnection, payload: SendPayload, found: Found, *, gateway: str, now_ms: int
    ) -> _Decided:
        """Claim the message if nothing stands in its way."""
        content = gate.read(found.content)
        if isinstance(content, SendError):
            return await _settled(connection, found, now_ms, MessageStatus.FAILED, str(content), code=content.code)
        held_ms = self._reactions.resting_ms(payload, found.contact_id)
        if held_ms:
            return Snooze(held_ms)
        if found.status is MessageStatus.QUEUED and await order.is_behind(connection, self._queues.outbound, found):
            return Snooze(order.LOOK_MS)
        whom = gate.Whom(
            pair=Pair(
                organization_id=payload.organization_id,
                instance_id=payload.instance_id,
                contact_id=found.contact_id,
            ),
            origin=found.origin,
            last_wrote_at=found.last_wrote_at,
        )
        match await gate.verdict(connection, content, whom, gateway=gateway, now_ms=now_ms):
            case gate.Rests(delay_ms, of_number):
                # Its whole lane rests rather than this job: the order stays, and the next is not even started.
                return RateLimited(delay_ms) if of_number else Snooze(delay_ms)
            case gate.Refused(error):
                return await _settled(connection, found, now_ms, MessageStatus.FAILED, str(error), code=error.code)
            case gate.NotWanted(reason) if found.status is not MessageStatus.SENDING:
                return await _settled(connection, found, now_ms, MessageStatus.SKIPPED, reason)
            case gate.Passes() | gate.NotWanted():  # what may be out already is sent again under its wire id
                return content, await claims.claim(connection, found, now_ms=now_ms, trace_context=self._traces.kept())

    async def _refusal(self, connection: AsyncConnection, payload: SendPayload, found: Found) -> Refusal | None:
        """Ask once more, in the claim's transaction, whether the contact may be written to.

        Not of a message that may be out already: it is sent again under its wire id, or the row would say skipped.
        """
        if found.status is MessageStatus.SENDING:
            return None
        return await refusal(
            connection,
            organization_id=payload.organization_id,
            contact_id=found.contact_id,
            origin=found.origin,
        )

    async def _send(
        self,
        gateway: Gateway,
        payload: SendPayload,
        found: Found,
        content: Content,
        claim: Claim,
        *,
        is_last: bool,
    ) -> object:
        message = OutboundMessage(
            organization_id=payload.organization_id,
            instance_id=payload.instance_id,
            message_id=found.id,
            wire_id=found.wire_id,
            to=found.address,
            content=content,
            reply_to=reply_to_of(found.content),
            quoted=quoted_of(found.content),
        )
        try:
            async with asyncio.timeout(SEND_WITHIN_S):
                accepted = await gateway.send(message)
        except SendError as error:
            return await self._reactions.refused(payload, found, content, claim, error, is_last=is_last)
        except (InDoubt, TimeoutError) as error:
            reason = str(error) or f"no answer within {SEND_WITHIN_S:g} s"
            await self._outcomes.in_doubt(claim, reason, now_ms=self._clock())
            return {"status": MessageStatus.IN_DOUBT.value}
        await self._outcomes.accepted(claim, accepted, now_ms=self._clock())
        await self._reactions.accepted(payload, found)
        return {"status": MessageStatus.SENT.value}


async def _settled(
    connection: AsyncConnection,
    found: Found,
    now_ms: int,
    status: MessageStatus,
    reason: str,
    *,
    code: str | None = None,
) -> _Settled:
    told = await claims.settle(connection, found, status, now_ms=now_ms, reason=reason, code=code)
    return _Settled({"status": status.value} | ({"code": code} if code else {}), told)
