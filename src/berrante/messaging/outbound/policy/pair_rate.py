"""How often a number may write to one person: evenly, or at once and then not for a while.

Meta: one message per 6 seconds to the same user (131056), and up to 45 at once that are paid back by waiting.
"""

from dataclasses import dataclass
from typing import Final

INTERVAL_MS: Final = 6_000
BURST: Final = 45


@dataclass(frozen=True, slots=True)
class Allowed:
    """It may go; ``even_ms`` is to be stored."""

    even_ms: int


@dataclass(frozen=True, slots=True)
class TooSoon:
    """It has to wait."""

    delay_ms: int


def ask(even_ms: int | None, *, now_ms: int, interval_ms: int = INTERVAL_MS, burst: int = BURST) -> Allowed | TooSoon:
    """Decide on one more message (the generic cell rate algorithm).

    ``even_ms`` is when all that was sent so far would have been sent at the even rate; None: nothing was.

    >>> ask(None, now_ms=1_000), ask(1_000 + 45 * 6_000, now_ms=1_000)
    (Allowed(even_ms=7000), TooSoon(delay_ms=6000))
    """
    from_ms = max(even_ms or 0, now_ms)
    over_ms = from_ms - now_ms - (burst - 1) * interval_ms
    return TooSoon(over_ms) if over_ms > 0 else Allowed(from_ms + interval_ms)


def strike_delay_ms(base_ms: int, growth: int, strikes: int) -> int:
    """Return how long to wait after the ``strikes``-th refusal in a row (from 1); it stops growing after six.

    >>> [strike_delay_ms(1_000, 4, strikes) for strikes in (1, 2, 3)]
    [1000, 4000, 16000]
    """
    return int(base_ms * growth ** min(max(0, strikes - 1), 5))
