"""How far a campaign is: every planned recipient is counted once, by number and variant too."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.campaigns.campaign import Campaign
from berrante.messaging.campaigns.life import Status
from berrante.messaging.campaigns.models import campaign_entries, campaign_recipients
from berrante.messaging.messages.models import messages

_MINUTE: Final = timedelta(minutes=1)
_NEARLY_A_MINUTE: Final = timedelta(seconds=50)
#: So many messages tell a rate by the time between them.
_ENOUGH: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """Recipients by what became of them; each is in one count, and the counts' sum is ``planned``.

    ``pending`` have no message yet, ``sent`` are accepted by WhatsApp but not known to be delivered, and ``delivered``
    not known to be read. ``replied`` is beside them: who answered is in another count too.

    >>> Counts(planned=3, pending=1, queued=1, read=1).open
    2
    """

    planned: int = 0
    pending: int = 0
    queued: int = 0
    sending: int = 0
    sent: int = 0
    delivered: int = 0
    read: int = 0
    failed: int = 0
    skipped: int = 0
    in_doubt: int = 0
    replied: int = 0

    @property
    def open(self) -> int:
        """How many are still to be sent."""
        return self.pending + self.queued + self.sending

    @property
    def accepted(self) -> int:
        """How many WhatsApp took, whatever it told of them later."""
        return self.sent + self.delivered + self.read

    @property
    def total(self) -> int:
        """The sum of all counts: equal to ``planned``, or something is lost."""
        return self.open + self.accepted + self.failed + self.skipped + self.in_doubt

    def shown(self) -> dict[str, int]:
        """Return them as an API shows them."""
        return asdict(self) | {"open": self.open}


@dataclass(frozen=True, kw_only=True, slots=True)
class CampaignProgress(Counts):
    """A campaign's counts, ``excluded`` by reason, and the same counts by number and by variant.

    ``rate_per_minute`` is of the last minute, ``seconds_left`` what the rest takes at that rate, whatever hours and
    caps say. ``rates`` are the numbers' own, of those that sent enough in the last minute to tell.
    """

    excluded: Mapping[str, int] = field(default_factory=dict)
    by_number: Mapping[str, Counts] = field(default_factory=dict)
    by_variant: Mapping[str, Counts] = field(default_factory=dict)
    rate_per_minute: int = 0
    rates: Mapping[str, float] = field(default_factory=dict)

    @property
    def seconds_left(self) -> int | None:
        """How long the rest takes at the present rate; None if nothing is sent now."""
        return round(60 * self.open / self.rate_per_minute) if self.rate_per_minute and self.open else None

    def stored(self) -> dict[str, Any]:
        """Return it as JSON for the job and the campaign's row."""
        return {
            **self.shown_counts(),
            "excluded": dict(self.excluded),
            "rate_per_minute": self.rate_per_minute,
            "seconds_left": self.seconds_left,
            "by_number": {name: counts.shown() for name, counts in self.by_number.items()},
            "by_variant": {name: counts.shown() for name, counts in self.by_variant.items()},
        }

    def shown_counts(self) -> dict[str, int]:
        """Return the plain counts."""
        return {each.name: getattr(self, each.name) for each in fields(Counts)} | {"open": self.open}


async def count(connection: AsyncConnection, campaign_id: UUID, *, at: datetime) -> CampaignProgress:
    """Count a campaign's recipients in one snapshot, ``at`` being now: a full reading of its rows."""
    r, m = campaign_recipients.c, messages.c
    status = func.coalesce(m.status, r.status)
    recent = m.sent_at > at - _MINUTE
    query = (
        select(
            r.instance_id,
            r.variant,
            status.label("status"),
            r.reason,
            func.count().label("number"),
            func.count(r.replied_at).label("replied"),
            func.count().filter(recent).label("recent"),
            func.min(m.sent_at).filter(recent).label("first"),
            func.max(m.sent_at).filter(recent).label("last"),
        )
        .select_from(campaign_recipients)
        .outerjoin(messages, m.id == r.message_id)
        .where(r.campaign_id == campaign_id)
        .group_by(r.instance_id, r.variant, status, r.reason)
    )
    return _counted([row._mapping for row in await connection.execute(query)], at)


def _counted(rows: Sequence[Mapping[Any, Any]], at: datetime) -> CampaignProgress:
    whole: dict[str, int] = {}
    excluded: dict[str, int] = {}
    by: dict[str, dict[str, dict[str, int]]] = {"instance_id": {}, "variant": {}}
    for row in rows:
        if row["status"] == "excluded":
            excluded[row["reason"]] = excluded.get(row["reason"], 0) + row["number"]
            continue
        places = [whole, *(by[key].setdefault(row[key], {}) for key in by)]
        for counts in places:
            for name, number in (
                (row["status"], row["number"]),
                ("planned", row["number"]),
                ("replied", row["replied"]),
            ):
                counts[name] = counts.get(name, 0) + number
    return CampaignProgress(
        **whole,
        excluded=excluded,
        by_number={name: Counts(**counts) for name, counts in by["instance_id"].items()},
        by_variant={name: Counts(**counts) for name, counts in by["variant"].items()},
        rate_per_minute=sum(row["recent"] for row in rows),
        rates={name: rate for name in by["instance_id"] if (rate := _rate(rows, name, at)) is not None},
    )


def _rate(rows: Sequence[Mapping[Any, Any]], instance_id: str, at: datetime) -> float | None:
    """Return how many a number sends a minute: also of one that began, or went on, some seconds ago."""
    mine = [row for row in rows if row["instance_id"] == instance_id and row["recent"]]
    if not mine:
        return None
    sent, first = sum(row["recent"] for row in mine), min(row["first"] for row in mine)
    spread = max(row["last"] for row in mine) - first
    if sent >= _ENOUGH and spread:
        return float((sent - 1) * (_MINUTE / spread))
    return float(sent) if at - first > _NEARLY_A_MINUTE else None


async def count_with_the_list(connection: AsyncConnection, campaign: Campaign, *, at: datetime) -> CampaignProgress:
    """Count a campaign as ``count`` does, and those of its list who are not frozen yet: they are to be written to too.

    The caller holds the lock of one that is not frozen, so that no batch moves from the list to the recipients.
    """
    progress = await count(connection, campaign.id, at=at)
    is_whole = campaign.frozen_at is not None or campaign.status is Status.CANCELLED
    if is_whole or campaign.audience.segment is not None:
        return progress
    rest = select(func.count()).where(
        campaign_entries.c.campaign_id == campaign.id,
        campaign_entries.c.position >= int(campaign.freeze_cursor or 0),
    )
    more: int = (await connection.execute(rest)).scalar_one()
    return replace(progress, planned=progress.planned + more, pending=progress.pending + more)
