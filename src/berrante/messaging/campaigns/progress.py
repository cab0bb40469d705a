"""How far a campaign is: every planned recipient is counted once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select

from berrante.messaging.campaigns.models import campaign_recipients
from berrante.messaging.messages.models import messages


@dataclass(frozen=True, kw_only=True, slots=True)
class CampaignProgress:
    """The number of recipients by what became of them; each is in one count, and the counts' sum is ``planned``.

    ``pending`` have no message yet, ``sent`` are accepted by WhatsApp but not known to be delivered, and ``delivered``
    not known to be read.

    >>> CampaignProgress(planned=3, pending=1, queued=1, read=1).open
    2
    """

    planned: int
    pending: int = 0
    queued: int = 0
    sending: int = 0
    sent: int = 0
    delivered: int = 0
    read: int = 0
    failed: int = 0
    skipped: int = 0
    in_doubt: int = 0

    @property
    def open(self) -> int:
        """How many are still to be sent."""
        return self.pending + self.queued + self.sending

    @property
    def total(self) -> int:
        """The sum of all counts: equal to ``planned``, or something is lost."""
        settled = self.sent + self.delivered + self.read + self.failed + self.skipped + self.in_doubt
        return self.open + settled


def counting(campaign_id: UUID) -> "Select[Any, int]":
    """Return the query that counts a campaign's recipients by status, in one snapshot."""
    status = func.coalesce(messages.c.status, campaign_recipients.c.status)
    return (
        select(status.label("status"), func.count().label("number"))
        .select_from(campaign_recipients)
        .outerjoin(messages, messages.c.id == campaign_recipients.c.message_id)
        .where(campaign_recipients.c.campaign_id == campaign_id)
        .group_by(status)
    )


def counted(counts: Mapping[str, int], *, planned: int) -> CampaignProgress:
    """Return the progress of what the query counted."""
    return CampaignProgress(planned=planned, **counts)
