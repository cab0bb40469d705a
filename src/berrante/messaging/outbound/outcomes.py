"""What came of claimed sends, stored and told: those that WhatsApp took many at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text, update

from berrante.gateways.protocol import Accepted, Action, SendError
from berrante.messaging.clock import moment
from berrante.messaging.contacts.consent import suppress
from berrante.messaging.endpoints.emitting import Happening, Told, emit_all, enqueue
from berrante.messaging.endpoints.messages import changed
from berrante.messaging.messages.models import messages
from berrante.messaging.messages.status import MessageStatus, below
from berrante.messaging.outage import is_away
from berrante.messaging.outbound.claims import Claim
from berrante.messaging.outbound.rounds import Rounds
from berrante.messaging.queues import Queues
from berrante.store import Database

# Locked in the order of their ids, as receipts lock them. That WhatsApp took the message is a fact, whoever holds the
# claim now; a higher status stays, since a receipt was faster.
_ACCEPT: Final = text("""
    WITH locked AS MATERIALIZED (
        SELECT m.id, m.status = ANY (CAST(:below AS text[])) AS rises
          FROM messages m
         WHERE m.id = ANY (CAST(:ids AS uuid[]))
         ORDER BY m.id
           FOR NO KEY UPDATE)
    UPDATE messages m
       SET status = CASE WHEN locked.rises THEN :sent ELSE m.status END,
           provider_id = given.provider_id,
           sent_at = coalesce(m.sent_at, given.sent_at),
           updated_at = CAST(:now AS timestamptz)
      FROM unnest(CAST(:ids AS uuid[]), CAST(:provider_ids AS text[]), CAST(:sent_ats AS timestamptz[]))
               AS given (id, provider_id, sent_at)
      JOIN locked ON locked.id = given.id
     WHERE m.id = given.id
    RETURNING m.id, locked.rises
""")
_BELOW: Final = [status.value for status in below(MessageStatus.SENT)]


@dataclass(frozen=True, slots=True)
class _Taken:
    claim: Claim
    accepted: Accepted
    now_ms: int
    trace_context: str | None


class Outcomes:
    """Stores what came of a claimed send, and tells of it."""

    def __init__(self, database: Database, queues: Queues) -> None:
        self._database = database
        self._queues = queues
        self._taken = Rounds(self._accept, is_everybodys=is_away)

    async def accepted(self, claim: Claim, accepted: Accepted, *, now_ms: int, trace_context: str | None) -> None:
        """Store that WhatsApp took the message, with others of this moment; what is told of it joins the trace."""
        await self._taken.answer(_Taken(claim, accepted, now_ms, trace_context))

    async def _accept(self, taken: Sequence[_Taken]) -> list[Exception | None]:
        given = {
            "ids": [each.claim.message_id for each in taken],
            "provider_ids": [each.accepted.provider_id for each in taken],
            "sent_ats": [moment(each.accepted.accepted_at_ms) for each in taken],
            "below": _BELOW,
            "sent": MessageStatus.SENT.value,
            "now": moment(max(each.now_ms for each in taken)),
        }
        async with self._database.begin() as connection:
            rose = {row.id for row in await connection.execute(_ACCEPT, given) if row.rises}
            happenings = [
                _news(
                    each.claim,
                    MessageStatus.SENT,
                    at_ms=each.accepted.accepted_at_ms,
                    trace_context=each.trace_context,
                )
                for each in taken
                if each.claim.message_id in rose
            ]
            told = await emit_all(connection, happenings)
        await enqueue(self._queues, told)
        return [None] * len(taken)

    async def released(self, claim: Claim, error: SendError, *, charged: bool, now_ms: int) -> None:
        """Queue the message again."""
        await self._close(claim, MessageStatus.QUEUED, error=error, charged=charged, now_ms=now_ms)

    async def returned(self, claim: Claim, *, now_ms: int) -> None:
        """Queue a message again that nobody tried to send."""
        await self._update(claim, MessageStatus.QUEUED, {}, now_ms=now_ms)

    async def failed(self, claim: Claim, error: SendError, *, charged: bool, now_ms: int) -> None:
        """Fail the message."""
        await self._close(claim, MessageStatus.FAILED, error=error, charged=charged, now_ms=now_ms)

    async def in_doubt(self, claim: Claim, reason: str, *, now_ms: int) -> None:
        """Say that nobody knows."""
        values = {"failure_reason": reason}
        await self._update(claim, MessageStatus.IN_DOUBT, values, now_ms=now_ms)

    async def _close(
        self, claim: Claim, status: MessageStatus, *, error: SendError, charged: bool, now_ms: int
    ) -> None:
        values = {
            "failure_code": error.code,
            "failure_reason": str(error),
            "attempts": messages.c.attempts + int(charged),
        }
        await self._update(claim, status, values, now_ms=now_ms, suppresses=error.action is Action.SUPPRESS)

    async def _update(
        self, claim: Claim, status: MessageStatus, values: dict[str, Any], *, now_ms: int, suppresses: bool = False
    ) -> None:
        statement = (
            update(messages)
            .where(
                messages.c.id == claim.message_id,
                messages.c.status == MessageStatus.SENDING.value,
                messages.c.updated_at == claim.at,
            )
            .values(status=status.value, updated_at=moment(now_ms), **values)
        )
        code, reason = values.get("failure_code"), values.get("failure_reason")
        told: list[Told] = []
        async with self._database.begin() as connection:
            has_changed = (await connection.execute(statement)).rowcount
            if suppresses:  # said of the contact, whoever holds the claim now
                happenings = await suppress(
                    connection,
                    organization_id=claim.organization_id,
                    contact_id=claim.contact_id,
                    code=code,
                    reason=reason or "",
                    at=moment(now_ms),
                )
                told += await emit_all(connection, happenings)
            if has_changed and status is not MessageStatus.QUEUED:
                told += await emit_all(connection, [_news(claim, status, at_ms=now_ms, code=code, reason=reason)])
        await enqueue(self._queues, told)


def _news(
    claim: Claim,
    status: MessageStatus,
    *,
    at_ms: int,
    code: str | None = None,
    reason: str | None = None,
    trace_context: str | None = None,
) -> Happening:
    return changed(
        organization_id=claim.organization_id,
        instance_id=claim.instance_id,
        message_id=claim.message_id,
        wire_id=claim.wire_id,
        status=status.value,
        at=moment(at_ms),
        code=code,
        reason=reason,
        trace_context=trace_context,
    )
