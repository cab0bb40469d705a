"""One play of a campaign: who sends next, when, and who waits for what. Times are seconds, since a play has many."""

import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from berrante.messaging.campaigns.pace.budget import CATCH_UP, gap

if TYPE_CHECKING:
    from berrante.messaging.campaigns.rehearsal import Group, Number, Part, Portfolio, Scene

#: What cannot end in so long does not end.
_LONGEST_S: Final = 366 * 86_400.0
_DAY_S: Final = 86_400.0
#: One part in so many of a group is written to at a stretch.
_STRETCH: Final = 1_000
_CATCH_UP_S: Final = CATCH_UP.total_seconds()
#: How soon people answer, on average.
_ANSWERED_IN_S: Final = 1_800.0


class Play:
    """A campaign, all others of its numbers, and the lanes that they share."""

    def __init__(self, ours: "Part", scene: "Scene", *, start: datetime, seed: str) -> None:
        self._start = start.timestamp()
        self._luck = random.Random(seed)  # noqa: S311  a play to repeat
        self._reply_share = scene.reply_share
        self.sends: Counter[datetime] = Counter()
        self.replies: Counter[datetime] = Counter()
        self._portfolios = {name: _Portfolio(each) for name, each in scene.portfolios.items()}
        self._lanes: dict[str, _Lane] = {}
        self._writers = [
            _Writer(part, groups, self._lane(name, scene), is_ours=part is ours, number=name)
            for part in (ours, *scene.others)
            for name, groups in _by_number(part.groups)
        ]

    def run(self) -> datetime | None:
        """Send all of ours and return when the last went out; None if that is more than a year away."""
        left = sum(writer.left_in_all for writer in self._writers if writer.is_ours)
        # Of two who wait for one lane, who came first goes first: whoever sent takes a new ticket.
        due = [(max(writer.slot, self._start), place, place) for place, writer in enumerate(self._writers)]
        due.sort()
        tickets = len(due)
        end = self._start
        while left:
            at, ticket, place = heappop(due)
            if at - self._start > _LONGEST_S:
                return None
            writer = self._writers[place]
            again = writer.lane.free_from(at, self._chance) if writer.lane.limits else at
            if again <= at:
                again = writer.waits_until(at)
            if again > at:
                heappush(due, (again, ticket, place))
                continue
            stranger_or_not = writer.take()
            writer.lane.took(at, writer.day, stranger_or_not, self._chance)
            writer.slot = max(writer.slot, at - _CATCH_UP_S) + gap(writer.policy, self._chance()).total_seconds()
            if writer.left_in_all:
                tickets += 1
                heappush(due, (max(writer.slot, at), tickets, place))
            if writer.is_ours:
                left, end = left - 1, at
                self.sends[_hour(at)] += 1
                if self._reply_share and self._chance() < self._reply_share:
                    answered = at + self._luck.expovariate(1 / _ANSWERED_IN_S)
                    self.replies[_hour(answered)] += 1
                    writer.lane.answer(answered)
        return datetime.fromtimestamp(end, UTC)

    def _lane(self, name: str, scene: "Scene") -> "_Lane":
        if name not in self._lanes:
            number = scene.numbers.get(name)
            portfolio = self._portfolios.get(number.portfolio or "") if number is not None else None
            self._lanes[name] = _Lane(number, portfolio)
        return self._lanes[name]

    def _chance(self) -> float:
        return self._luck.random()


class _Lane:
    """A number: one message after another at its own pace, replies before campaigns."""

    def __init__(self, number: "Number | None", portfolio: "_Portfolio | None") -> None:
        self._gap_s = number.gap_s if number is not None else 0.0
        self._jitter = number.jitter if number is not None else 0.0
        self._answers: list[float] = []
        self._free = 0.0
        self.portfolio = portfolio
        self.quiet = number.quiet if number is not None else None
        self.warm_up = number.warm_up if number is not None else None
        self._days: dict[date, list[int]] = {}
        for day, (written, first) in (number.days if number is not None else {}).items():
            self._days[day] = [written, first]

    @property
    def limits(self) -> bool:
        """Whether the number has a pace of its own."""
        return self._gap_s > 0

    def free_from(self, at: float, chance: Callable[[], float]) -> float:
        """Return when the next message may leave."""
        while self._answers and self._answers[0] <= max(at, self._free):
            self._free = max(self._free, heappop(self._answers)) + self._drawn(chance)
        return max(at, self._free)

    def answer(self, at: float) -> None:
        """Have a reply take its place in the lane."""
        if self.limits:
            heappush(self._answers, at)

    def took(self, at: float, day: date, stranger: bool, chance: Callable[[], float]) -> None:
        """Count a message that left."""
        self._free = at + self._drawn(chance)
        counts = self._days.setdefault(day, [0, 0])
        counts[0] += 1
        counts[1] += stranger
        if self.portfolio is not None:
            self.portfolio.open(at)

    def done_on(self, day: date) -> list[int]:
        """Return the day's messages, and first contacts, of all campaigns."""
        return self._days.setdefault(day, [0, 0])

    def _drawn(self, chance: Callable[[], float]) -> float:
        return self._gap_s * (1 + self._jitter * (2 * chance() - 1))


class _Portfolio:
    """People whom it wrote to first within 24 hours, by the minute."""

    def __init__(self, given: "Portfolio") -> None:
        self._limit = given.limit
        self._opened = deque([[at.timestamp(), number] for at, number in sorted(given.opened)])
        self._count = sum(number for _, number in self._opened)

    def waits_until(self, at: float) -> float:
        """Return when there is room for one more."""
        while self._opened and self._opened[0][0] <= at - _DAY_S:
            self._count -= int(self._opened.popleft()[1])
        return at if self._count < self._limit else self._opened[0][0] + _DAY_S

    def open(self, at: float) -> None:
        """Count one more."""
        self._count += 1
        if self._opened and at - self._opened[-1][0] < 60:
            self._opened[-1][1] += 1
        else:
            self._opened.append([at, 1])


class _Writer:
    """One campaign's part at one number."""

    def __init__(self, part: "Part", groups: Sequence["Group"], lane: _Lane, *, is_ours: bool, number: str) -> None:
        self.policy = part.policy
        self.lane = lane
        self.is_ours = is_ours
        self.slot = max(part.begins, part.slots.get(number, part.begins)).timestamp()
        self.day = part.begun
        self._begun = part.begun
        self._left: dict[tuple[str, bool], int] = {}
        for group in groups:
            key = (group.zone, group.stranger)
            self._left[key] = self._left.get(key, 0) + group.count
        self.left_in_all = sum(self._left.values())
        # Who was put off goes after those who were not; of those who were put off together, each group by its size.
        self._since = dict.fromkeys(self._left, 0.0)
        self._size = dict(self._left)
        self._allowed: list[tuple[str, bool]] = []
        self._until = 0.0
        self._most: int | None = None
        self._key: tuple[str, bool] | None = None
        self._turns = 0

    def waits_until(self, at: float) -> float:
        """Return ``at`` if somebody may be written to now, else when to ask again."""
        if at >= self._until:
            self._look(at)
        written, first = self.lane.done_on(self.day)
        if self._most is not None and written >= self._most:
            return self._until
        cap = self.policy.daily_first_contacts
        if self._next(no_strangers=cap is not None and first >= cap) is None:
            return self._until
        return at if self.lane.portfolio is None else self.lane.portfolio.waits_until(at)

    def take(self) -> bool:
        """Write to the one that ``waits_until`` found; return whether it is a stranger."""
        assert self._key is not None
        self._left[self._key] -= 1
        self.left_in_all -= 1
        self._turns -= 1
        return self._key[1]

    def _look(self, at: float) -> None:
        now = datetime.fromtimestamp(at, UTC)
        self.day = now.astimezone(self.policy.own_zone).date()
        self._until = datetime.combine(self.day + timedelta(days=1), time(0), self.policy.own_zone).timestamp()
        self._allowed, self._key = [], None
        is_quiet = False
        if self.lane.quiet is not None:
            is_quiet, until = self.lane.quiet.span(now)
            self._until = min(self._until, until.timestamp())
        for key, left in self._left.items():
            if left:
                span = self.policy.calendar.span(now, ZoneInfo(key[0]))
                self._until = min(self._until, span.until.timestamp())
                if span.allowed and not is_quiet:
                    self._allowed.append(key)
                elif not span.allowed and not is_quiet:
                    self._since[key], self._size[key] = span.until.timestamp(), left
        step = (self.day - self._begun).days
        warm = self.policy.warm_up[step] if 0 <= step < len(self.policy.warm_up) else None
        new = self.lane.warm_up.most_on(self.day) if self.lane.warm_up is not None else None
        self._most = min((most for most in (warm, new, self.policy.daily) if most is not None), default=None)

    def _next(self, *, no_strangers: bool) -> tuple[str, bool] | None:
        """Return whose turn it is: groups are mixed in the audience, so of each the same share is done at a time."""
        key = self._key
        if key is not None and self._turns > 0 and self._left[key] and not (no_strangers and key[1]):
            return key
        open_ = [each for each in self._allowed if self._left[each] and not (no_strangers and each[1])]
        self._key = min(open_, key=self._order, default=None)
        self._turns = 1 + self._left[self._key] // _STRETCH if self._key is not None else 0
        return self._key

    def _order(self, key: tuple[str, bool]) -> tuple[float, float]:
        return self._since[key], -self._left[key] / self._size[key]


def _by_number(groups: Sequence["Group"]) -> list[tuple[str, list["Group"]]]:
    names = sorted({group.instance_id for group in groups})
    return [(name, [group for group in groups if group.instance_id == name]) for name in names]


def _hour(at: float) -> datetime:
    return datetime.fromtimestamp(at - at % 3_600, UTC)
