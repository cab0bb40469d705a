"""Plays a campaign on a virtual clock, by the rules that the engine goes by. Nothing here does I/O."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from berrante.messaging.campaigns.pace import NumberState, Policy
from berrante.messaging.campaigns.pace.budget import daily_limit, gap, on

#: What cannot end in so long does not end.
_LONGEST: Final = timedelta(days=366)
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
class Rehearsal:
    """What would happen: the end in half of ``runs`` plays, and in nine of ten; None if it takes more than a year.

    ``per_hour`` are sends by the hour (UTC) in one play. WhatsApp's own delays and other campaigns are not in it.
    """

    recipients: int
    start: datetime
    end_p50: datetime | None
    end_p90: datetime | None
    runs: int
    per_hour: dict[datetime, int]
    by_number: dict[str, int]


def rehearse(groups: Sequence[Group], policy: Policy, *, start: datetime, seed: int = 0) -> Rehearsal:
    """Play the campaign from ``start``: pace with jitter, quiet hours and days by zone, warm-up, daily caps.

    The rate has to be in the policy (``Policy.at``). The same seed gives the same answer.
    """
    start = start.astimezone(UTC)
    total = sum(group.count for group in groups)
    runs = max(1, min(_RUNS, _MOST_DRAWS // max(1, total)))
    ends: list[datetime | None] = []
    per_hour: Counter[datetime] = Counter()
    numbers = sorted({group.instance_id for group in groups})
    for run in range(runs):
        hours: Counter[datetime] = Counter()
        number_ends = [
            _Number(
                [group for group in groups if group.instance_id == name], policy, start, f"{seed}:{run}:{name}"
            ).play(hours)
            for name in numbers
        ]
        finished = [end for end in number_ends if end is not None]
        ends.append(max(finished, default=start) if len(finished) == len(number_ends) else None)
        per_hour = per_hour or hours
    ends.sort(key=lambda end: end or datetime.max.replace(tzinfo=UTC))
    return Rehearsal(
        recipients=total,
        start=start,
        end_p50=ends[(len(ends) - 1) // 2],
        end_p90=ends[-1 - len(ends) // 10] if len(ends) > 1 else ends[0],
        runs=runs,
        per_hour=dict(sorted(per_hour.items())),
        by_number={name: sum(each.count for each in groups if each.instance_id == name) for name in numbers},
    )


class _Number:
    """One number's part of a play."""

    def __init__(self, groups: Sequence[Group], policy: Policy, start: datetime, seed: str) -> None:
        self._policy = policy
        self._calendar = policy.calendar
        self._luck = random.Random(seed)  # noqa: S311  a play to repeat
        self._left: dict[tuple[str, bool], int] = {}
        for group in groups:
            key = (group.zone, group.stranger)
            self._left[key] = self._left.get(key, 0) + group.count
        self._now = start
        day = self._day()
        self._state = NumberState(open=0, next_at=start, day=day, begun=day)
        self._start = start

    def play(self, hours: Counter[datetime]) -> datetime | None:
        """Send all, count the sends by hour, and return when the last went out."""
        end = self._start
        while any(self._left.values()):
            if self._now - self._start > _LONGEST:
                return None
            self._state = on(self._state, self._day())
            allowed, barrier = self._allowed()
            room = sum(self._left[key] for key in allowed)
            limit, _ = daily_limit(self._state, self._policy)
            room = room if limit is None else min(room, limit)
            if not room:
                self._now = barrier
                continue
            end = self._stretch(allowed, room, barrier, hours) or end
        return end

    def _allowed(self) -> tuple[list[tuple[str, bool]], datetime]:
        """Return who may be written to now, and until when that holds."""
        tomorrow = datetime.combine(self._state.day + timedelta(days=1), time(0), self._policy.own_zone)
        barrier, allowed = tomorrow.astimezone(UTC), []
        cap = self._policy.daily_first_contacts
        for (zone, stranger), left in self._left.items():
            if not left:
                continue
            span = self._calendar.span(self._now, ZoneInfo(zone))
            barrier = min(barrier, span.until)
            if span.allowed and not (stranger and cap is not None and self._state.first_contacts >= cap):
                allowed.append((zone, stranger))
        return allowed, barrier

    def _stretch(
        self, allowed: list[tuple[str, bool]], room: int, barrier: datetime, hours: Counter[datetime]
    ) -> datetime | None:
        """Send until the rules change: the barrier comes, or somebody's part or a cap is used up."""
        key = max(allowed, key=lambda each: self._left[each])
        most = min(room, self._left[key])
        if key[1] and self._policy.daily_first_contacts is not None:
            most = min(most, self._policy.daily_first_contacts - self._state.first_contacts)
        # Groups take turns as they are mixed in the audience, without a choice for each message.
        most = max(1, min(most, 1 + self._left[key] // len(allowed)))
        sent, now, last = 0, self._now, None
        while sent < most and now < barrier:
            last = now
            hours[now.replace(minute=0, second=0, microsecond=0)] += 1
            now += gap(self._policy, self._luck.random())
            sent += 1
        self._now = now
        self._left[key] -= sent
        self._state = NumberState(
            open=0,
            next_at=now,
            day=self._state.day,
            begun=self._state.begun,
            written=self._state.written + sent,
            first_contacts=self._state.first_contacts + (sent if key[1] else 0),
        )
        return last

    def _day(self) -> date:
        return self._now.astimezone(self._policy.own_zone).date()
