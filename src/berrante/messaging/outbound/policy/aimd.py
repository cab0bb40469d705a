"""How fast a number goes after WhatsApp said that it goes too fast: halved at once, recovered little by little.

Additive increase, multiplicative decrease. Meta, "Throughput": 80 messages a second unless raised; over it, 130429.
"""

from dataclasses import dataclass
from typing import Final

#: Sends that were under way when the first was refused are refused too: all of them are one lesson.
LESSON_MS: Final = 2_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Aimd:
    """``ceiling`` is the number's own rate; each ``step_ms`` without a refusal gives ``1/steps`` of it back."""

    ceiling: float = 80.0
    floor: float = 1.0
    step_ms: int = 10_000
    steps: int = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """Messages a second, and when that was last changed."""

    per_s: float
    changed_ms: int


def slowed(aimd: Aimd, rate: Rate | None, *, now_ms: int) -> Rate:
    """Return the rate after a refusal; None as ``rate`` is a number that went at its own.

    >>> first = slowed(Aimd(), None, now_ms=0)
    >>> first.per_s, slowed(Aimd(), first, now_ms=100).per_s, slowed(Aimd(), first, now_ms=5_000).per_s
    (40.0, 40.0, 20.0)
    """
    if rate is None:
        return Rate(per_s=max(aimd.floor, aimd.ceiling / 2), changed_ms=now_ms)
    if now_ms - rate.changed_ms < LESSON_MS:
        return rate
    return Rate(per_s=max(aimd.floor, rate.per_s / 2), changed_ms=now_ms)


def recovered(aimd: Aimd, rate: Rate, *, now_ms: int) -> Rate | None:
    """Return the rate after a calm time; None once the number goes at its own again.

    >>> recovered(Aimd(), Rate(per_s=40, changed_ms=0), now_ms=25_000)
    Rate(per_s=48.0, changed_ms=20000)
    >>> recovered(Aimd(), Rate(per_s=40, changed_ms=0), now_ms=100_000)
    """
    passed = max(0, now_ms - rate.changed_ms) // aimd.step_ms
    per_s = rate.per_s + passed * aimd.ceiling / aimd.steps
    if per_s >= aimd.ceiling:
        return None
    # What has passed of the next step is kept: looking often must not make it slower.
    return Rate(per_s=per_s, changed_ms=rate.changed_ms + passed * aimd.step_ms)
