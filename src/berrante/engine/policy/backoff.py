"""How long a failed job waits before its next attempt."""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Backoff:
    """The wait before each retry, as BullMQ's built-in strategies compute it.

    ``jitter`` spreads the wait downwards, as in Node: 0 keeps it exact, 0.5 draws from the upper half, 1 from all.

    >>> Backoff.exponential(2_000)
    Backoff(type='exponential', delay_ms=2000, jitter=0.0)
    """

    type: Literal["fixed", "exponential"] = "exponential"
    delay_ms: int = 2_000
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if self.type not in {"fixed", "exponential"}:
            raise ValueError(f"Backoff.type is {self.type!r}: use 'fixed' or 'exponential'")
        if self.delay_ms < 0:
            raise ValueError(f"Backoff.delay_ms is {self.delay_ms}: give milliseconds, 0 or more")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"Backoff.jitter is {self.jitter}: give a share between 0 and 1")

    @classmethod
    def fixed(cls, delay_ms: int, *, jitter: float = 0.0) -> "Backoff":
        """Wait ``delay_ms`` before every retry."""
        return cls(type="fixed", delay_ms=delay_ms, jitter=jitter)

    @classmethod
    def exponential(cls, delay_ms: int, *, jitter: float = 0.0) -> "Backoff":
        """Wait ``delay_ms``, then twice that, then four times, and so on."""
        return cls(type="exponential", delay_ms=delay_ms, jitter=jitter)


def delay_ms(backoff: Backoff, *, attempt: int, chance: float) -> int:
    """Return the wait after the ``attempt``-th run (1-based) failed, in milliseconds.

    ``chance`` is a random number in [0, 1); it matters only with jitter.

    >>> [delay_ms(Backoff.exponential(2_000), attempt=n, chance=0) for n in (1, 2, 3)]
    [2000, 4000, 8000]
    """
    # Node: 2 ** (attempt - 1) * delay, and with jitter floor(random * delay * jitter + delay * (1 - jitter)).
    full = backoff.delay_ms if backoff.type == "fixed" else backoff.delay_ms * 2 ** (attempt - 1)
    if not backoff.jitter:
        return full
    shortest = full * (1 - backoff.jitter)
    return math.floor(chance * full * backoff.jitter + shortest)
