"""When a delivery is tried again, and when an endpoint rests or is given up: decisions without I/O."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

#: The waits between tries: eight retries within about a day. A table, not an exponential backoff: one that begins
#: with seconds ends within minutes, and one that ends after a day begins with twelve minutes, while most failures are
#: a restart that is over in one.
WAITS_S: Final = (5, 30, 2 * 60, 10 * 60, 30 * 60, 2 * 3_600, 6 * 3_600, 15 * 3_600)
_JITTER: Final = 0.2

#: Failures in a row of one endpoint after which it rests, so that those behind it do not wait for its time-outs.
OPENS_AFTER: Final = 3
_FIRST_REST_S: Final = 30
_LONGEST_REST_S: Final = 600
#: How long the one delivery that may try out a resting endpoint keeps the others waiting.
PROBE: Final = timedelta(seconds=15)

GIVEN_UP_AFTER: Final = timedelta(days=3)
_MANY: Final = 50
_MANY_WITHIN: Final = timedelta(days=1)


def wait_ms(attempts: int, *, chance: float) -> int | None:
    """Return the wait after so many failed attempts, 20 % up or down by ``chance`` in [0, 1); None after the last.

    >>> wait_ms(1, chance=0.5), wait_ms(8, chance=0), wait_ms(9, chance=0)
    (5000, 43200000, None)
    """
    if attempts > len(WAITS_S):
        return None
    return round(WAITS_S[attempts - 1] * 1_000 * (1 - _JITTER + 2 * _JITTER * chance))


def rest(failures: int) -> timedelta | None:
    """Return how long an endpoint rests after so many failures in a row; None if it need not.

    >>> rest(2), rest(3), rest(4), rest(20)
    (None, datetime.timedelta(seconds=30), datetime.timedelta(seconds=60), datetime.timedelta(seconds=600))
    """
    if failures < OPENS_AFTER:
        return None
    doubled = min(failures - OPENS_AFTER, 10)
    return timedelta(seconds=min(_LONGEST_REST_S, _FIRST_REST_S * 2**doubled))


def given_up(failures: int, *, failing_since: datetime, now: datetime) -> str | None:
    """Return why an endpoint that has failed so often, and all the time since, is to be disabled; None if it is not.

    Fifty failures count only after a day: a night's outage of a busy endpoint is no reason.
    """
    failing = now - failing_since
    if failing >= GIVEN_UP_AFTER:
        return f"every delivery failed for {GIVEN_UP_AFTER.days} days, {failures} in a row"
    if failures >= _MANY and failing >= _MANY_WITHIN:
        return f"{failures} deliveries failed in a row, for more than a day"
    return None


@dataclass(frozen=True, slots=True)
class Try:
    """Send it now; ``probe`` if the endpoint rested, and whoever sends first tries it out."""

    probe: bool = False


@dataclass(frozen=True, slots=True)
class Rest:
    """The endpoint rests until then."""

    until: datetime


def next_step(*, failures: int, open_until: datetime | None, now: datetime) -> Try | Rest:
    """Decide whether an endpoint may be called."""
    if failures < OPENS_AFTER or open_until is None:
        return Try()
    return Rest(open_until) if open_until > now else Try(probe=True)
