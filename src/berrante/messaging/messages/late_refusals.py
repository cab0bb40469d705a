"""Refusals that come late: WhatsApp took the message, and says only in a status that it is not to be shown."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.gateways.protocol import SendError
from berrante.gateways.refusals import known, refused
from berrante.messaging.clock import moment
from berrante.messaging.fields import storable
from berrante.messaging.messages.jobs import ReceiptPayload
from berrante.messaging.messages.receipts import Applied
from berrante.messaging.messages.status import MessageStatus
from berrante.messaging.outbound import gate, sending_holds
from berrante.messaging.outbound.policy.holding import Hold, hold_after
from berrante.messaging.outbound.reactions import tell
from berrante.messaging.outbound.signals import Listener


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """What a late refusal stopped; ``tell`` of it once it is committed."""

    organization_id: UUID
    instance_id: str
    contact_id: UUID
    hold: Hold
    error: SendError

    async def tell(self, listener: Listener) -> None:
        """Tell the listener."""
        await tell(
            listener,
            self.hold,
            self.error,
            organization_id=self.organization_id,
            instance_id=self.instance_id,
            contact_id=self.contact_id,
        )


async def stop(
    connection: AsyncConnection, payload: ReceiptPayload, applied: Applied, *, gateway: str, now_ms: int
) -> Stopped | None:
    """Stop what a refusal that came late stops; what it says of the message is on the row.

    Only the first time that it is told, so that a hold that was ended stays so.
    """
    error = _refusal(payload, applied) if gateway in gate.META_GATEWAYS else None
    if error is None:
        return None
    content = gate.read(applied.content)
    hold = hold_after(
        error,
        content=None if isinstance(content, SendError) else content,
        contact_id=applied.contact_id,
        now_ms=now_ms,
    )
    if hold is None:
        return None
    await sending_holds.place(
        connection,
        hold,
        organization_id=payload.organization_id,
        instance_id=payload.instance_id,
        now=moment(now_ms),
    )
    return Stopped(
        organization_id=payload.organization_id,
        instance_id=payload.instance_id,
        contact_id=applied.contact_id,
        hold=hold,
        error=error,
    )


def _refusal(payload: ReceiptPayload, applied: Applied) -> SendError | None:
    code = None if payload.error_code is None else storable(str(payload.error_code))[:200]
    if not applied.is_news or applied.holds is not MessageStatus.FAILED or code is None or known(code) is None:
        return None
    return refused(code, storable(payload.error)[:500] if payload.error else None)
