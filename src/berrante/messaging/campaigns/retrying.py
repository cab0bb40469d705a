"""Writes again to recipients whose message did not arrive: a new attempt, beside the old one."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Text, cast, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.campaigns.models import campaign_recipients
from berrante.messaging.messages.models import messages
from berrante.messaging.messages.status import MessageStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """Which recipients: those whose message failed, all or of one ``code``; those skipped for a ``code``.

    ``in_doubt`` takes those too of whom nobody knows whether they saw it: they may see it twice.
    """

    code: str | None = None
    in_doubt: bool = False


async def put_back(connection: AsyncConnection, campaign_id: UUID, which: Retry, *, at: datetime) -> int:
    """Make these recipients pending again, and remember their messages; return how many. The campaign is locked."""
    r, m = campaign_recipients.c, messages.c
    statuses = [MessageStatus.FAILED.value, *([MessageStatus.IN_DOUBT.value] if which.in_doubt else [])]
    failed = select(m.id).where(m.id == r.message_id, m.status.in_(statuses))
    if which.code is not None:
        failed = failed.where(or_(m.failure_code == which.code, m.status == MessageStatus.IN_DOUBT.value))
    again = {"status": "pending", "reason": None, "not_before": at, "attempt": r.attempt + 1, "send_until": None}
    written = (
        update(campaign_recipients)
        .where(r.campaign_id == campaign_id, r.status == "written", failed.exists())
        .values(**again, message_id=None, past_messages=func.array_append(r.past_messages, r.message_id))
    )
    number = (await connection.execute(written)).rowcount
    # Without a code only what may differ now is tried again: a text that could not be rendered for them.
    why = which.code if which.code is not None else "missing_field"
    skipped = (
        update(campaign_recipients)
        .where(r.campaign_id == campaign_id, r.status == "skipped", func.starts_with(r.reason, cast(f"{why}:", Text)))
        .values(**again)
    )
    return number + (await connection.execute(skipped)).rowcount
