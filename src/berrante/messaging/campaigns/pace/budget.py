"""How many messages a number may take now, and when to ask again: the scheduler of campaigns and of rehearsals."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Final

from berrante.messaging.campaigns.pace.policy import DEFAULT_PER_MINUTE, Policy

#: A number that was late (a slow tick, a full lane) makes up for at most this much.
CATCH_UP: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberState:
    """One number of a campaign: what is in its lane, what it did on ``day`` (the campaign's), and its next slot.

    ``written`` and ``first_contacts`` are of all campaigns of the number; ``begun`` is the day of this one's start.
    """

    open: int
    next_at: datetime
    day: date
    begun: date
    written: int = 0
    first_contacts: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """``count`` messages, of which ``first_contacts`` to strangers (None: as many as there are).

    ``because`` says what keeps it from more: window, pace, warm_up or daily. ``next_at`` is the slot after those, and
    ``wake_at`` when more may be possible; None if that depends on the lane alone.
    """

    count: int
    first_contacts: int | None
    next_at: datetime
    wake_at: datetime | None
    because: str


def budget(state: NumberState, policy: Policy, *, now: datetime, chance: Callable[[], float]) -> Budget:
    """Return what a number may take at ``now``; ``chance`` gives 0 to 1.

    No more messages are ever granted than slots have come: one per gap, from ``next_at`` on.
    """
    room = policy.window - state.open
    limit, because = daily_limit(state, policy)
    count, next_at = 0, max(state.next_at, now - CATCH_UP)
    while next_at <= now and count < room and (limit is None or count < limit):
        next_at += gap(policy, chance())
        count += 1
    first = _left(policy.daily_first_contacts, state.first_contacts)
    if limit is not None and count >= limit:
        tomorrow = datetime.combine(state.day + _DAY, time(0), policy.own_zone)
        return Budget(count=count, first_contacts=first, next_at=next_at, wake_at=tomorrow, because=because)
    if count >= room:
        return Budget(count=count, first_contacts=first, next_at=next_at, wake_at=None, because="window")
    return Budget(count=count, first_contacts=first, next_at=next_at, wake_at=next_at, because="pace")


def gap(policy: Policy, luck: float) -> timedelta:
    """Return the time between two messages of a number; ``luck`` from 0 to 1 makes it shorter or longer.

    >>> gap(Policy(per_minute=60, jitter=0.5), 0.0), gap(Policy(per_minute=60, jitter=0.5), 1.0)
    (datetime.timedelta(microseconds=500000), datetime.timedelta(seconds=1, microseconds=500000))
    """
    return timedelta(seconds=60 / (policy.per_minute or DEFAULT_PER_MINUTE) * (1 + policy.jitter * (2 * luck - 1)))


def daily_limit(state: NumberState, policy: Policy) -> tuple[int | None, str]:
    """Return how many more messages the number may take today, and which rule says so."""
    step = (state.day - state.begun).days
    warm = policy.warm_up[step] if 0 <= step < len(policy.warm_up) else None
    limits = [
        (left, name)
        for left, name in ((_left(warm, state.written), "warm_up"), (_left(policy.daily, state.written), "daily"))
        if left is not None
    ]
    return min(limits) if limits else (None, "pace")


def on(state: NumberState, day: date) -> NumberState:
    """Return the state on a day: a new day begins with nothing done."""
    return state if day <= state.day else replace(state, day=day, written=0, first_contacts=0)


def _left(limit: int | None, done: int) -> int | None:
    return None if limit is None else max(0, limit - done)
