"""When a campaign is expected to end: by its rate, its recipients' hours, its numbers' hours and caps.

A rehearsal plays message after message, and the other campaigns of the numbers too; this goes from one change of the
hours to the next, so that it costs the same for a hundred recipients and for a million.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from berrante.messaging.campaigns.pace.policy import DEFAULT_PER_MINUTE

if TYPE_CHECKING:
    from berrante.messaging.campaigns.rehearsal import Number, Part

_LONGEST: Final = timedelta(days=366)
#: A rate that is nearly what was planned is what was planned: jitter alone is some percent.
_AS_PLANNED: Final = 0.9

#: Recipients who are alike: a zone, and whether they never wrote to the number.
_Kind = tuple[str, bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class Live:
    """What a number does now: messages in its lane, and how many it sends a minute; None if that is not known."""

    in_lane: int = 0
    per_minute: float | None = None


def expected_end(
    part: "Part", *, now: datetime, numbers: "Mapping[str, Number]", live: Mapping[str, Live]
) -> datetime | None:
    """Return when the last message goes out; None if that takes more than a year.

    A number that sends more slowly than its pace goes on so. The rate has to be in the policy (``Policy.at``).

    >>> from berrante.messaging.campaigns.pace import Policy
    >>> from berrante.messaging.campaigns.rehearsal import Group, Part
    >>> night = Policy.read({"per_minute": 1, "quiet": {"from": "20:00", "to": "08:00"}})
    >>> noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    >>> groups = [Group(instance_id="sales", zone=zone, stranger=False, count=300) for zone in ("UTC", "Asia/Tokyo")]
    >>> part = Part(groups=groups, policy=night, begins=noon, begun=noon.date())
    >>> expected_end(part, now=noon, numbers={}, live={}).isoformat()
    '2026-01-06T03:59:00+00:00'
    """
    names = {group.instance_id for group in part.groups} | set(live)
    ends = [_Rest(part, name, now=now, number=numbers.get(name), live=live.get(name) or Live()).end() for name in names]
    known = [end for end in ends if end is not None]
    return max(known, default=now) if len(known) == len(ends) else None


class _Rest:
    """What one number still has to send."""

    def __init__(self, part: "Part", name: str, *, now: datetime, number: "Number | None", live: Live) -> None:
        self._policy = part.policy
        self._begun = part.begun
        self._now = now.astimezone(UTC)
        self._number = number
        self._lane_s = live.in_lane * (number.gap_s if number is not None else 0.0)
        self._gap = _gap(part, number, live)
        self._at = max(self._now, part.begins, part.slots.get(name, self._now))
        self._days = dict(number.days) if number is not None else {}
        self._left: dict[_Kind, int] = {}
        for group in part.groups:
            if group.instance_id == name and group.count > 0:
                kind = (group.zone, group.stranger)
                self._left[kind] = self._left.get(kind, 0) + group.count
        #: Who was put off until then goes after those who were not.
        self._since = dict.fromkeys(self._left, self._at)

    def end(self) -> datetime | None:
        if not self._left:
            return self._now + timedelta(seconds=self._lane_s)
        while self._at - self._now < _LONGEST:
            at, day = self._at, self._at.astimezone(self._policy.own_zone).date()
            open_, until = self._look(at, day)
            slots = math.ceil((until - at) / self._gap)
            written, cold = self._days.get(day, (0, 0))
            first = self._policy.daily_first_contacts
            taken = self._take(
                open_,
                most=min(slots, max(0, most - written) if (most := self._most(day)) is not None else slots),
                strangers=max(0, first - cold) if first is not None else None,
            )
            sent = sum(taken.values())
            self._days[day] = (written + sent, cold + sum(n for kind, n in taken.items() if kind[1]))
            self._left = {kind: n - taken.get(kind, 0) for kind, n in self._left.items() if n > taken.get(kind, 0)}
            if not self._left:
                return at + (sent - 1) * self._gap
            self._at = max(at + sent * self._gap, until)
        return None

    def _look(self, at: datetime, day: date) -> tuple[list[_Kind], datetime]:
        """Return who may be written to, and until when that stays so."""
        until = datetime.combine(day + timedelta(days=1), time(0), self._policy.own_zone).astimezone(UTC)
        is_quiet = False
        if self._number is not None and self._number.quiet is not None:
            is_quiet, ends = self._number.quiet.span(at)
            until = min(until, ends)
        open_ = []
        for kind in self._left:
            span = self._policy.calendar.span(at, ZoneInfo(kind[0]))
            until = min(until, span.until)
            if span.allowed:
                open_.append(kind)
            elif not is_quiet:
                self._since[kind] = max(self._since[kind], span.until)
        return ([] if is_quiet else open_), until.astimezone(UTC)

    def _most(self, day: date) -> int | None:
        """Return how many messages the day may have."""
        step = (day - self._begun).days
        warm = self._policy.warm_up[step] if 0 <= step < len(self._policy.warm_up) else None
        number = self._number.warm_up if self._number is not None else None
        new = number.most_on(day) if number is not None else None
        return min((most for most in (warm, new, self._policy.daily) if most is not None), default=None)

    def _take(self, open_: list[_Kind], *, most: int, strangers: int | None) -> dict[_Kind, int]:
        """Share ``most`` messages: the longest due first, and of those each kind by its size."""
        taken: dict[_Kind, int] = {}
        for since in sorted({self._since[kind] for kind in open_}):
            tier = [kind for kind in open_ if self._since[kind] == since]
            cold = {kind: self._left[kind] for kind in tier if kind[1]}
            warm = {kind: self._left[kind] for kind in tier if not kind[1]}
            all_cold, all_warm = sum(cold.values()), sum(warm.values())
            number = min(most, all_cold + all_warm)
            to_cold = min(number * all_cold // (all_cold + all_warm), all_cold)
            if strangers is not None:
                to_cold = min(to_cold, strangers)
            to_warm = min(all_warm, number - to_cold)
            to_cold = min(number - to_warm, all_cold if strangers is None else min(all_cold, strangers))
            taken |= _shared(to_cold, cold) | _shared(to_warm, warm)
            most -= to_cold + to_warm
            if strangers is not None:
                strangers -= to_cold
        return taken


def _gap(part: "Part", number: "Number | None", live: Live) -> timedelta:
    planned = max(60 / (part.policy.per_minute or DEFAULT_PER_MINUTE), number.gap_s if number is not None else 0.0)
    if live.per_minute and 60 / live.per_minute * _AS_PLANNED > planned:
        return timedelta(seconds=60 / live.per_minute)
    return timedelta(seconds=planned)


def _shared(number: int, by: Mapping[_Kind, int]) -> dict[_Kind, int]:
    """Split a number by sizes, so that the parts' sum is the number."""
    left, total, parts = number, sum(by.values()), {}
    for kind, size in by.items():
        parts[kind] = round(left * size / total) if total else 0
        left, total = left - parts[kind], total - size
    return parts
