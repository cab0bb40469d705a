"""What was measured: one value per round and question, and what a table needs of them."""

import statistics
from collections import defaultdict
from dataclasses import dataclass, field

from benchmarks.delivery import percentile


@dataclass(frozen=True, kw_only=True, order=True)
class Key:
    """A question, asked of each peer in each round: what was measured, at which concurrency, with which handler."""

    what: str
    concurrency: int = 0
    handler_ms: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Median and range over the rounds."""

    median: float
    low: float
    high: float
    rounds: int


@dataclass(frozen=True, kw_only=True)
class WrongDelivery:
    """A peer that lost a job or ran one twice."""

    peer: str
    round: int
    key: Key
    answer: dict[str, object]

    def __str__(self) -> str:
        told = {name: self.answer.get(name) for name in ("jobs", "missing", "duplicates", "unexpected", "error")}
        at = f"{self.key.what}, concurrency {self.key.concurrency}, handler {self.key.handler_ms:g} ms"
        return f"WRONG DELIVERY by {self.peer} in round {self.round} ({at}): {told}"


@dataclass
class Results:
    """All values of one server."""

    server: str
    version: str
    rounds: int
    values: dict[tuple[str, Key], list[float]] = field(default_factory=lambda: defaultdict(list))
    idle_samples_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    without_bulk: set[str] = field(default_factory=set)
    wrong: list[WrongDelivery] = field(default_factory=list)

    def note(self, peer: str, key: Key, value: float) -> None:
        self.values[peer, key].append(value)

    def figure(self, peer: str, key: Key) -> Figure | None:
        values = self.values.get((peer, key))
        if not values:
            return None
        return Figure(median=statistics.median(values), low=min(values), high=max(values), rounds=len(values))

    def idle_ms(self, peer: str, share: float) -> float | None:
        """Return a percentile over the samples of all rounds."""
        samples = self.idle_samples_ms.get(peer)
        return percentile(samples, share) if samples else None

    def as_json(self) -> dict[str, object]:
        return {
            "server": self.server,
            "version": self.version,
            "rounds": self.rounds,
            "values": [{"peer": peer, **vars(key), "values": values} for (peer, key), values in self.values.items()],
            "idle_samples_ms": dict(self.idle_samples_ms),
            "wrong": [str(wrong) for wrong in self.wrong],
        }
