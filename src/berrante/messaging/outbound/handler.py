"""The queue ``outbound``: sends one stored message, so that its contact sees it at most once."""

import asyncio
import random
from collections.abc import Callable, Mapping

from berrante.engine import Job, Snooze, Unrecoverable
from berrante.gateways.protocol import Gateway, InDoubt, OutboundMessage, SendError
from berrante.messaging.clock import Clock
from berrante.messaging.messages.content import quoted_of, reply_to_of
from berrante.messaging.messages.status import MessageStatus
from berrante.messaging.outage import is_away
from berrante.messaging.outbound.claiming import Asked, Claiming, Decision, Granted
from berrante.messaging.outbound.jobs import SEND, SendPayload
from berrante.messaging.outbound.outcomes import Outcomes
from berrante.messaging.outbound.policy import SEND_WITHIN_S
from berrante.messaging.outbound.reactions import Reactions
from berrante.messaging.outbound.rounds import Rounds
from berrante.messaging.outbound.signals import Listener, deaf
from berrante.messaging.payloads import read
from berrante.messaging.queues import Queues
from berrante.messaging.traces import Traces, Untraced
from berrante.store import Database


class OutboundHandler:
    """Handles ``send``.

    Each job is on its own, so that a send that takes long holds up no other; but those that run at once are claimed in
    rounds, many in one transaction, and so is stored that WhatsApp took them.

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
        self._traces = traces
        self._clock = clock
        self._outcomes = Outcomes(database, queues)
        self._reactions = Reactions(database, queues, self._outcomes, clock=clock, listener=listener, chance=chance)
        claiming = Claiming(database, queues, gateways, clock=clock, resting_ms=self._reactions.resting_ms)
        self._claims: Rounds[Asked, Decision] = Rounds(claiming.decide, is_everybodys=is_away, unwanted=self._unwanted)

    async def __call__(self, job: Job) -> object:
        """Send one message; raises ``Unrecoverable`` for a job that can never be done, ``SendError`` to be retried."""
        if job.name != SEND:
            raise Unrecoverable(f"queue 'outbound' has no jobs named {job.name!r}: use 'send'")
        payload = read(job, SendPayload)
        held_ms = self._reactions.resting_ms(payload)
        if held_ms:
            return Snooze(held_ms)
        kept = self._traces.kept()
        asked = Asked(
            payload=payload,
            attempt=job.attempt,
            attempts=job.options.attempts,
            kept=kept,
            trace_context=kept or job.trace_context,
        )
        decision = await self._claims.answer(asked)
        return await self._send(decision, asked) if isinstance(decision, Granted) else decision

    async def _unwanted(self, decision: Decision) -> None:
        """Queue a message again whose job was cancelled while it was being claimed: nobody sends it."""
        if isinstance(decision, Granted):
            await self._outcomes.returned(decision.claim, now_ms=self._clock())

    async def _send(self, granted: Granted, asked: Asked) -> object:
        found, claim = granted.found, granted.claim
        message = OutboundMessage(
            organization_id=found.organization_id,
            instance_id=found.instance_id,
            message_id=found.id,
            wire_id=found.wire_id,
            to=found.address,
            content=granted.content,
            reply_to=reply_to_of(found.content),
            quoted=quoted_of(found.content),
        )
        try:
            async with asyncio.timeout(SEND_WITHIN_S):
                accepted = await granted.gateway.send(message)
        except SendError as error:
            is_last = asked.attempt >= asked.attempts
            return await self._reactions.refused(asked.payload, found, granted.content, claim, error, is_last=is_last)
        except (InDoubt, TimeoutError) as error:
            reason = str(error) or f"no answer within {SEND_WITHIN_S:g} s"
            await self._outcomes.in_doubt(claim, reason, now_ms=self._clock())
            return {"status": MessageStatus.IN_DOUBT.value}
        await self._outcomes.accepted(claim, accepted, now_ms=self._clock(), trace_context=asked.trace_context)
        await self._reactions.accepted(asked.payload, found)
        return {"status": MessageStatus.SENT.value}
