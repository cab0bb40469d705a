"""Plays a campaign on a virtual clock, by the rules that the engine goes by. Nothing here does I/O."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final

from berrante.messaging.campaigns.pace import Policy
from berrante.messaging.campaigns.rehearsal_play import Play
from berrante.messaging.instances.settings import QuietHours, WarmUp

_MOST_DRAWS: Final = 400_000
_RUNS: Final = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Recipients that are alike to the scheduler."""

    instance_id: str
    zone: str
    stranger: bool
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What one campaign still has to send; ``slots`` are the next ones of its numbers, by instance."""

    groups: Sequence[Group]
    policy: Policy
    begins: datetime
    begun: date
    slots: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Number:
    """One number: seconds between any two messages of its lane (0: no limit), what it wrote by day, its portfolio.

    ``written`` and ``first_contacts`` are of all campaigns; ``portfolio`` is None where WhatsApp limits nobody.
    """

    gap_s: float = 0.0
    jitter: float = 0.0
    days: Mapping[date, tuple[int, int]] = field(default_factory=dict)
    portfolio: str | None = None
    quiet: QuietHours | None = None
    warm_up: WarmUp | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Portfolio:
    """How many people it may write to first in 24 hours, and how many it did, by when."""

    limit: int
    opened: Sequence[tuple[datetime, int]] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """What else goes on at the numbers; ``reply_share`` of those who get the message answer, and are answered."""

    others: Sequence[Part] = ()
    numbers: Mapping[str, Number] = field(default_factory=dict)
    portfolios: Mapping[str, Portfolio] = field(default_factory=dict)
    reply_share: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Hour:
    """Messages of the campaign in one hour (UTC): in half of the plays at most so many, in nine of ten; and answers."""

    at: datetime
    p50: int
    p90: int
    replies_p50: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Rehearsal:
    """What would happen: the end in half of ``runs`` plays, and in nine of ten; None if it takes more than a year.

    ``per_hour`` are sends by the hour (UTC) in one play, ``hours`` what all plays say of each hour. ``others`` are
    messages of other campaigns that share the numbers. WhatsApp's own delays and failures are not in it.
    """

    recipients: int
    start: datetime
    end_p50: datetime | None
    end_p90: datetime | None
    runs: int
    per_hour: dict[datetime, int]
    hours: list[Hour]
    by_number: dict[str, int]
    others: int
    reply_share: float


def rehearse(
    groups: Sequence[Group],
    policy: Policy,
    *,
    start: datetime,
    seed: int = 0,
    scene: Scene | None = None,
    begun: date | None = None,
    slots: Mapping[str, datetime] | None = None,
) -> Rehearsal:
    """Play the campaign from ``start``: pace, hours, caps, and in a ``scene`` what else its numbers do.

    The rate has to be in the policy (``Policy.at``). The same seed gives the same answer.
    """
    start = start.astimezone(UTC)
    scene = scene or Scene()
    first_day = begun or start.astimezone(policy.own_zone).date()
    ours = Part(groups=groups, policy=policy, begins=start, begun=first_day, slots=slots or {})
    total = sum(group.count for group in groups)
    others = sum(group.count for part in scene.others for group in part.groups)
    runs = max(1, min(_RUNS, _MOST_DRAWS // max(1, total + others)))
    plays = [Play(ours, scene, start=start, seed=f"{seed}:{run}") for run in range(runs)]
    ends = sorted((play.run() for play in plays), key=lambda end: end or datetime.max.replace(tzinfo=UTC))
    sends, replies = [play.sends for play in plays], [play.replies for play in plays]
    return Rehearsal(
        recipients=total,
        start=start,
        end_p50=ends[(len(ends) - 1) // 2],
        end_p90=ends[-1 - len(ends) // 10] if len(ends) > 1 else ends[0],
        runs=runs,
        per_hour=dict(sorted(sends[0].items())),
        hours=_hours(sends, replies),
        by_number={
            name: sum(each.count for each in groups if each.instance_id == name)
            for name in sorted({each.instance_id for each in groups})
        },
        others=others,
        reply_share=scene.reply_share,
    )


def _hours(sends: Sequence[Counter[datetime]], replies: Sequence[Counter[datetime]]) -> list[Hour]:
    """Return the hours in which something happens in more plays than a few."""
    hours = [
        Hour(at=at, p50=_share(sends, at, 5), p90=_share(sends, at, 9), replies_p50=_share(replies, at, 5))
        for at in sorted({at for counts in (*sends, *replies) for at in counts})
    ]
    return [hour for hour in hours if hour.p90 or hour.replies_p50]


def _share(plays: Sequence[Counter[datetime]], hour: datetime, tenths: int) -> int:
    """Return the number that is not exceeded in so many tenths of the plays."""
    counts = sorted(play[hour] for play in plays)
    return counts[max(0, -(-len(counts) * tenths // 10) - 1)]


def chart(hours: Sequence[Hour], *, width: int = 40) -> list[str]:
    """Return a bar for each hour of sends: as long as half of the plays have it, shaded on to nine of ten."""
    most = max((hour.p90 for hour in hours), default=0) or 1
    lines = []
    for hour in hours:
        if not hour.p90:
            continue
        bar = "█" * (max(1, round(width * hour.p50 / most)) if hour.p50 else 0)
        shade = "░" * max(0, round(width * hour.p90 / most) - len(bar))
        lines.append(f"{hour.at:%a %d %b %H:%M} UTC {hour.p50:>7} {bar}{shade}")
    return lines
