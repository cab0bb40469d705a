"""Quiet hours and allowed days, by the clock on a recipient's wall: also on days on which that clock is changed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HORIZON: Final = timedelta(days=15)  # a week's only hour may fall into a clock's gap, but not two weeks in a row
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hours:
    """When it is quiet, on a wall clock: from ``quiet_from`` until ``quiet_to``, over midnight if that is earlier.

    Both None: never quiet. ``days`` are 0 (Monday) to 6.
    """

    quiet_from: time | None = None
    quiet_to: time | None = None
    days: frozenset[int] = frozenset(range(7))

    def allow(self, at: datetime, zone: ZoneInfo) -> bool:
        """Tell whether it is neither quiet nor another day, there and then.

        >>> night = Hours(quiet_from=time(21), quiet_to=time(8))
        >>> night.allow(datetime(2026, 1, 5, 23, tzinfo=UTC), ZoneInfo("America/Sao_Paulo"))
        True
        """
        local = at.astimezone(zone)
        if local.weekday() not in self.days:
            return False
        if self.quiet_from is None or self.quiet_to is None:
            return True
        now = local.time()
        if self.quiet_from <= self.quiet_to:
            return not self.quiet_from <= now < self.quiet_to
        return self.quiet_to <= now < self.quiet_from


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, ``until`` excluded, in which sending is allowed throughout, or not at all."""

    since: datetime
    until: datetime
    allowed: bool


class Calendar:
    """Answers for many recipients of a few zones; what it worked out for a zone is kept while it holds."""

    def __init__(self, hours: Hours) -> None:
        self._hours = hours
        self._spans: dict[str, Span] = {}

    def span(self, at: datetime, zone: ZoneInfo) -> Span:
        """Return the stretch around ``at``."""
        known = self._spans.get(zone.key)
        if known is None or not known.since <= at < known.until:
            allowed = self._hours.allow(at, zone)
            until = next((each for each in _changes(self._hours, at, zone) if self._differs(each, zone, allowed)), None)
            known = self._spans[zone.key] = Span(at, until or at + _HORIZON, allowed)
        return known

    def next_allowed(self, at: datetime, zone: ZoneInfo) -> datetime:
        """Return the first moment from ``at`` on at which sending is allowed: ``at`` itself if it is now."""
        span = self.span(at, zone)
        while not span.allowed:
            at = span.until
            span = self.span(at, zone)
        return at

    def _differs(self, at: datetime, zone: ZoneInfo, allowed: bool) -> bool:
        return self._hours.allow(at, zone) is not allowed


def _changes(hours: Hours, after: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Return in order the moments after ``after`` at which the answer may change, within the horizon."""
    day, last = after.astimezone(zone).date() - timedelta(days=1), (after + _HORIZON).astimezone(zone).date()
    walls = {time(0), *(wall for wall in (hours.quiet_from, hours.quiet_to) if wall is not None)}
    while day <= last:
        yield from sorted(moment for moment in _moments(day, walls, zone) if moment > after)
        day += timedelta(days=1)


def _moments(day: date, walls: set[time], zone: ZoneInfo) -> set[datetime]:
    found = {datetime.combine(day, wall, zone).replace(fold=fold).astimezone(UTC) for wall in walls for fold in (0, 1)}
    begin, end = min(found), max(found) + timedelta(hours=4)
    if begin.astimezone(zone).utcoffset() != end.astimezone(zone).utcoffset() or len(found) > len(walls):
        found |= _shifts(day, zone)
    return found


def _shifts(day: date, zone: ZoneInfo) -> set[datetime]:
    """Return the moments around a day at which the clock is changed."""
    at = datetime.combine(day, time(0), UTC) - timedelta(days=1)
    found = set()
    for _ in range(3 * 24):
        low, high = at, at + timedelta(hours=1)
        if low.astimezone(zone).utcoffset() != high.astimezone(zone).utcoffset():
            while high - low > _SECOND:
                middle = low + (high - low) // 2
                if middle.astimezone(zone).utcoffset() == low.astimezone(zone).utcoffset():
                    low = middle
                else:
                    high = middle
            found.add(high.replace(microsecond=0))
        at += timedelta(hours=1)
    return found
