"""How contacts behave: who reads, who cannot be reached, and how long everything takes. Policy without a clock."""

import random
from dataclasses import dataclass
from typing import Final

from berrante.gateways.protocol import ReceiptStatus

Range = tuple[int, int]  # milliseconds, both ends included

UNREACHABLE: Final = ("131026", "Message undeliverable")


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """How long things take, each drawn from a range of milliseconds.

    ``accept`` is WhatsApp's answer to a send. The others count from the step before: sent, then delivered, then read.
    """

    accept: Range = (0, 0)
    sent: Range = (20, 120)
    delivered: Range = (100, 1_500)
    read: Range = (500, 8_000)

    def __post_init__(self) -> None:
        for name in ("accept", "sent", "delivered", "read"):
            shortest, longest = getattr(self, name)
            if not 0 <= shortest <= longest:
                raise ValueError(f"Latency.{name} is {(shortest, longest)}: give milliseconds, the shorter first")

    @classmethod
    def every(cls, ms: int) -> "Latency":
        """Let every receipt follow the step before by exactly ``ms``; sends are answered at once."""
        return cls(sent=(ms, ms), delivered=(ms, ms), read=(ms, ms))


@dataclass(frozen=True, kw_only=True, slots=True)
class Habits:
    """The shares of contacts, from 0 to 1, that read what they get, and that nothing can be delivered to.

    A contact keeps its habit: who never reads, never does, with the same seed in every run.
    """

    reading: float = 0.85
    unreachable: float = 0.0

    def __post_init__(self) -> None:
        for name in ("reading", "unreachable"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"Habits.{name} is {getattr(self, name)}: give a share between 0 and 1")

    def reads(self, seed: int, instance_id: str, contact: str) -> bool:
        """Tell whether the contact ever reads."""
        return self.reading == 1 or chance(seed, "reads", instance_id, contact).random() < self.reading

    def is_unreachable(self, seed: int, instance_id: str, contact: str) -> bool:
        """Tell whether nothing can be delivered to the contact."""
        return self.unreachable > 0 and chance(seed, "unreachable", instance_id, contact).random() < self.unreachable


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A receipt to come, ``after_ms`` from when WhatsApp took the message."""

    status: ReceiptStatus
    after_ms: int


def chance(seed: int, *about: str) -> random.Random:
    """Return the randomness of one thing: the same for the same seed, whatever else happens in between."""
    return random.Random(":".join((str(seed), *about)))  # noqa: S311  behaviour to repeat, not secrets


def draw(spread: Range, luck: random.Random) -> int:
    """Draw from a range of milliseconds."""
    return luck.randint(*spread)


def fate(*, latency: Latency, reads: bool, unreachable: bool, luck: random.Random) -> list[Step]:
    """Return the receipts of one message, in order.

    >>> [step.after_ms for step in fate(latency=Latency.every(5), reads=True, unreachable=False, luck=chance(0))]
    [5, 10, 15]
    """
    after_ms = draw(latency.sent, luck)
    steps = [Step(status=ReceiptStatus.SENT, after_ms=after_ms)]
    after_ms += draw(latency.delivered, luck)
    if unreachable:
        return [*steps, Step(status=ReceiptStatus.FAILED, after_ms=after_ms)]
    steps.append(Step(status=ReceiptStatus.DELIVERED, after_ms=after_ms))
    if reads:
        steps.append(Step(status=ReceiptStatus.READ, after_ms=after_ms + draw(latency.read, luck)))
    return steps
