"""Ends what a cancelled campaign still had before it: in batches, since it may be a million rows."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.campaigns.models import PENDING, QUEUED, campaign_recipients
from berrante.messaging.messages.models import messages
from berrante.messaging.messages.status import MessageStatus

_BATCH: Final = 20_000
CANCELLED: Final = "the campaign was cancelled"


async def skip_pending(connection: AsyncConnection, campaign_id: UUID, *, batch: int = _BATCH) -> bool:
    """Skip a batch of those who were not written to; tell whether there were so many that more may be left."""
    mine = (campaign_recipients.c.campaign_id == campaign_id, campaign_recipients.c.status == PENDING)
    page = select(campaign_recipients.c.position).where(*mine).limit(batch)
    statement = update(campaign_recipients).where(*mine, campaign_recipients.c.position.in_(page))
    done = await connection.execute(statement.values(status="skipped", reason="cancelled"))
    return done.rowcount == batch


async def skip_queued(connection: AsyncConnection, campaign_id: UUID, numbers: Sequence[str]) -> None:
    """Skip the messages that wait in the lanes; one that is being sent is not called back."""
    # Locked in the order of their ids, as claims lock theirs: neither waits for the other in a circle.
    waiting = (
        select(messages.c.id)
        .join(campaign_recipients, campaign_recipients.c.message_id == messages.c.id)
        .where(
            messages.c.status == QUEUED,
            messages.c.instance_id.in_(numbers),
            campaign_recipients.c.campaign_id == campaign_id,
        )
        .order_by(messages.c.id)
        .with_for_update(of=messages, key_share=True)
        .cte("waiting")
    )
    queued = update(messages).where(messages.c.id == waiting.c.id)
    await connection.execute(
        queued.values(status=MessageStatus.SKIPPED.value, failure_reason=CANCELLED, updated_at=func.now())
    )
