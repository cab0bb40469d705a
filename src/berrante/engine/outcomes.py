"""What a handler may answer, beside returning a value or raising."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Done:
    """The job is completed with ``value`` (JSON); returning the bare value says the same."""

    value: Any = None


@dataclass(frozen=True, slots=True)
class Snooze:
    """Run the same job again after ``delay_ms``, without using an attempt."""

    delay_ms: int


@dataclass(frozen=True, slots=True)
class RateLimited:
    """The other side said 429: give the job back uncharged, at the head, and stop the whole queue for ``delay_ms``."""

    delay_ms: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Fail the job for good, now, with ``reason``; it is not an error and leaves no dead letter."""

    reason: str


Outcome = Done | Snooze | RateLimited | Cancel
