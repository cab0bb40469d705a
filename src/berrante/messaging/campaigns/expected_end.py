"""When a campaign is expected to end: by its rate, its hours and its caps. A rehearsal knows more."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from berrante.messaging.campaigns.pace import NumberState, Policy
from berrante.messaging.campaigns.pace.budget import daily_limit, on
from berrante.messaging.campaigns.pace.policy import DEFAULT_PER_MINUTE

_LONGEST: Final = timedelta(days=366)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rest:
    """What a number still has to send, and what it wrote today."""

    open: int
    written: int = 0


def expected_end(
    rests: Mapping[str, Rest], policy: Policy, *, now: datetime, begun: date, rate_per_minute: float
) -> datetime | None:
    """Return when the last message goes out, by the campaign's own zone; None if it takes more than a year.

    ``rate_per_minute`` is of all numbers together, which share it; 0: none goes now, so it is the policy's own.

    >>> night = Policy.read({"quiet": {"from": "20:00", "to": "08:00"}})
    >>> noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    >>> expected_end({"sales": Rest(open=540)}, night, now=noon, begun=noon.date(), rate_per_minute=1).isoformat()
    '2026-01-06T09:00:00+00:00'
    """
    left = {name: rest for name, rest in rests.items() if rest.open}
    own = policy.per_minute or DEFAULT_PER_MINUTE
    rate = rate_per_minute / len(left) if rate_per_minute and left else own
    ends = [_end(rest, policy, now=now, begun=begun, rate=rate) for rest in left.values()]
    known = [end for end in ends if end is not None]
    return max(known, default=now) if len(known) == len(ends) else None


def _end(rest: Rest, policy: Policy, *, now: datetime, begun: date, rate: float) -> datetime | None:
    at, left, day = now, rest.open, now.astimezone(policy.own_zone).date()
    state = NumberState(open=0, next_at=now, day=day, begun=begun, written=rest.written)
    while at - now < _LONGEST:
        day = at.astimezone(policy.own_zone).date()
        state = on(state, day)
        span = policy.calendar.span(at, policy.own_zone)
        tomorrow = datetime.combine(day + timedelta(days=1), time(0), policy.own_zone).astimezone(UTC)
        limit, _ = daily_limit(state, policy)
        if not span.allowed or limit == 0:
            at = min(span.until, tomorrow) if not span.allowed else tomorrow
            continue
        until = min(span.until, tomorrow)
        most = left if limit is None else min(left, limit)
        takes = timedelta(minutes=most / rate)
        if at + takes <= until:
            sent, at = most, at + takes
        else:
            sent, at = min(most, int((until - at) / timedelta(minutes=1) * rate)), until
        left -= sent
        if not left:
            return at
        state = NumberState(open=0, next_at=at, day=day, begun=begun, written=state.written + sent)
    return None
