"""What a group of jobs may use: how many at once, how fast, and how much of everybody's turns."""

from dataclasses import dataclass
from typing import Final

_MAX_WEIGHT: Final = 1_000.0


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupRate:
    """At most ``max`` jobs start per ``duration_ms``, evenly: one per ``duration_ms / max``, exactly, in the long run.

    ``burst`` jobs may start at once after a quiet time. This is the generic cell rate algorithm (GCRA): in no window of
    W ms do more than ``burst + W * max / duration_ms`` jobs start.

    >>> GroupRate(max=80).gap_ms, GroupRate(max=1, duration_ms=30_000).gap_ms
    (12.5, 30000.0)
    """

    max: int
    duration_ms: int = 1_000
    burst: int = 1

    def __post_init__(self) -> None:
        for name in ("max", "duration_ms", "burst"):
            if getattr(self, name) < 1:
                raise ValueError(f"GroupRate.{name} is {getattr(self, name)}: give 1 or more")

    @property
    def gap_ms(self) -> float:
        """Return the time from one start to the next."""
        return self.duration_ms / self.max


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupLimits:
    """The limits of one group, or of all that have none of their own; they hold over all workers and restarts.

    ``concurrency`` bounds its active jobs. ``jitter`` spreads the gaps of ``rate`` evenly, 0.2 meaning 20 % shorter to
    20 % longer. ``weight`` is its share of turns beside other groups: 2 gets two for each one of 1. ``floor`` is the
    share of its own turns that its lowest waiting priority is promised, so that what is urgent cannot keep the rest
    waiting for ever; 0 promises nothing.

    Raises ``ValueError`` that names the field and the remedy.

    >>> GroupLimits(concurrency=1, rate=GroupRate(max=1, duration_ms=30_000), jitter=0.2).floor
    0.1
    """

    concurrency: int | None = None
    rate: GroupRate | None = None
    jitter: float = 0.0
    weight: float = 1.0
    floor: float = 0.1

    def __post_init__(self) -> None:
        if self.concurrency is not None and self.concurrency < 1:
            raise ValueError(f"GroupLimits.concurrency is {self.concurrency}: give 1 or more, or None")
        if not 0 <= self.jitter < 1:
            raise ValueError(f"GroupLimits.jitter is {self.jitter}: give 0 (even gaps) to less than 1")
        if not 1 / _MAX_WEIGHT <= self.weight <= _MAX_WEIGHT:
            raise ValueError(f"GroupLimits.weight is {self.weight}: give {1 / _MAX_WEIGHT} to {_MAX_WEIGHT:.0f}")
        if not 0 <= self.floor <= 1:
            raise ValueError(f"GroupLimits.floor is {self.floor}: give a share of turns, 0 to 1")
