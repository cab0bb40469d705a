"""The queue ``outbound``: sends one stored message, so that its contact sees it at most once."""

import asyncio
from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.engine import Job, RateLimited, Snooze, Unrecoverable
from berrante.gateways.protocol import Gateway, InDoubt, OutboundMessage, Scope, SendError, TextContent
from berrante.messaging.clock import Clock, milliseconds
from berrante.messaging.contacts.consent import Refusal, refusal
from berrante.messaging.endpoints.emitting import enqueue
from berrante.messaging.instances.tenancy import gateway_of
from berrante.messaging.messages.status import MessageStatus
from berrante.messaging.outbound import claims
from berrante.messaging.outbound.claims import Claim, Found, Outcomes
from berrante.messaging.outbound.holds import Holds
from berrante.messaging.outbound.jobs import SEND, SendPayload
from berrante.messaging.outbound.policy import (
    SEND_WITHIN_S,
    Charge,
    Doubt,
    GiveUp,
    Hold,
    Leave,
    Postpone,
    Send,
    Skip,
    Wait,
    next_step,
    react,
)
from berrante.messaging.outbound.writing import gateway_named
from berrante.messaging.payloads import read
from berrante.messaging.queues import Queues
from berrante.store import Database


class OutboundHandler:
    """Handles ``send``.

    Killed before the claim, nothing happened; killed after it, the row says ``sending``, and whoever takes the job next
    sends again under the same wire id where the gateway shows that once, or else calls it in doubt.
    """

    def __init__(self, *, database: Database, queues: Queues, gateways: Mapping[str, Gateway], clock: Clock) -> None:
        self._database = database
        self._queues = queues
        self._gateways = gateways
        self._clock = clock
        self._outcomes = Outcomes(database, queues)
        self._holds = Holds(clock=clock)

    async def __call__(self, job: Job) -> object:  # noqa: PLR0911  one return per step
        """Send one message; raises ``Unrecoverable`` for a job that can never be done, ``SendError`` to be retried."""
        if job.name != SEND:
            raise Unrecoverable(f"queue 'outbound' has no jobs named {job.name!r}: use 'send'")
        payload = read(job, SendPayload)
        held_ms = self._holds.remaining_ms(payload.organization_id)
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
            claim: Claim | None
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
                case Skip():
                    reason = found.called_off or ""
                    await claims.settle(connection, found, MessageStatus.SKIPPED, now_ms=now_ms, reason=reason)
                    return {"status": MessageStatus.SKIPPED.value}
                case Doubt():
                    reason = "its worker ended between claim and answer"
                    told = await claims.settle(connection, found, MessageStatus.IN_DOUBT, now_ms=now_ms, reason=reason)
                    claim = None
                case Send() if (refused := await self._refusal(connection, payload, found)) is not None:
                    await claims.settle(connection, found, MessageStatus.SKIPPED, now_ms=now_ms, reason=refused.reason)
                    return {"status": MessageStatus.SKIPPED.value, "code": refused.value}
                case Send():
                    claim = await claims.claim(connection, found, now_ms=now_ms)
        if claim is None:
            await enqueue(self._queues, told)
            return {"status": MessageStatus.IN_DOUBT.value}
        return await self._send(gateway, payload, found, claim, is_last=job.attempt >= attempts)

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
        self, gateway: Gateway, payload: SendPayload, found: Found, claim: Claim, *, is_last: bool
    ) -> object:
        message = OutboundMessage(
            organization_id=payload.organization_id,
            instance_id=payload.instance_id,
            message_id=found.id,
            wire_id=found.wire_id,
            to=found.address,
            content=TextContent(body=found.text),
        )
        try:
            async with asyncio.timeout(SEND_WITHIN_S):
                accepted = await gateway.send(message)
        except SendError as error:
            return await self._refused(payload, claim, error, is_last=is_last)
        except (InDoubt, TimeoutError) as error:
            reason = str(error) or f"no answer within {SEND_WITHIN_S:g} s"
            await self._outcomes.in_doubt(claim, reason, now_ms=self._clock())
            return {"status": MessageStatus.IN_DOUBT.value}
        await self._outcomes.accepted(claim, accepted, now_ms=self._clock())
        return {"status": MessageStatus.SENT.value}

    async def _refused(self, payload: SendPayload, claim: Claim, error: SendError, *, is_last: bool) -> object:
        now_ms = self._clock()
        match react(error):
            case GiveUp():
                await self._outcomes.failed(claim, error, charged=False, now_ms=now_ms)
                return {"status": MessageStatus.FAILED.value, "code": error.code}
            case Postpone(delay_ms, holds):
                await self._outcomes.released(claim, error, charged=False, now_ms=now_ms)
                if holds is Scope.NUMBER:
                    return RateLimited(delay_ms)  # its lane rests, for all workers
                if holds is Scope.ACCOUNT:
                    self._holds.hold(payload.organization_id, delay_ms)
                return Snooze(delay_ms)
            case Charge() if is_last:
                await self._outcomes.failed(claim, error, charged=True, now_ms=now_ms)
                raise error
            case Charge():
                await self._outcomes.released(claim, error, charged=True, now_ms=now_ms)
                raise error
