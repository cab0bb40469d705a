"""Groups as plain Python: what a queue with groups must do, step by step."""

from dataclasses import dataclass, field
from typing import Final

from berrante.engine import GroupLimits

MIDDLE: Final = 2**31


@dataclass
class Group:
    """One group: its line as (priority, sequence, job id), and its pace."""

    line: list[tuple[int, int, str]] = field(default_factory=list)
    active: set[str] = field(default_factory=set)
    own: GroupLimits | None = None
    paused: bool = False
    next: float = 0.0
    rest: float = 0.0
    turns: int = 0
    tail: int = 0
    head: int = 0
    #: How often each other group was served since this one might have run; for fairness.
    passed_by: dict[str, int] = field(default_factory=dict)

    def put(self, job_id: str, priority: int, *, first: bool = False) -> None:
        if first:
            self.head += 1
            sequence = MIDDLE - self.head
        else:
            self.tail += 1
            sequence = MIDDLE + self.tail
        self.line.append((priority, sequence, job_id))
        self.line.sort()

    def drop(self, job_id: str) -> None:
        self.line = [waiting for waiting in self.line if waiting[2] != job_id]

    def has(self, job_id: str) -> bool:
        return any(waiting[2] == job_id for waiting in self.line)

    def limits(self, default: GroupLimits) -> GroupLimits:
        return self.own or default

    @property
    def due(self) -> float:
        return max(self.next, self.rest)

    def could_run(self, default: GroupLimits) -> bool:
        """Whether only time can keep it from running."""
        most = self.limits(default).concurrency
        return bool(self.line) and not self.paused and (most is None or len(self.active) < most)

    def may_run(self, default: GroupLimits, now: int) -> bool:
        return self.could_run(default) and self.due <= now

    def serve(self, default: GroupLimits, now: int) -> str:
        """Take the job whose turn it is and pay for it."""
        limits = self.limits(default)
        lowest = self.line[-1][0]
        if limits.floor and (self.turns + 1) * limits.floor >= 1:
            job = next(waiting for waiting in self.line if waiting[0] == lowest)
        else:
            job = self.line[0]
        self.line.remove(job)
        self.turns = self.turns + 1 if limits.floor and self.line and self.line[-1][0] > job[0] else 0
        self.active.add(job[2])
        if limits.rate:
            gap = limits.rate.gap_ms
            self.next = max(self.next, now - (limits.rate.burst - 1) * gap) + gap
        return job[2]

    def forget(self, default: GroupLimits, now: int) -> None:
        """Lose what an empty group does not keep: its sequence, and its pace once that is whole again."""
        if self.line or self.active:
            return
        self.turns = self.tail = self.head = 0
        rate = self.limits(default).rate
        if max(self.next + (rate.burst - 1) * rate.gap_ms if rate else self.next, self.rest) <= now:
            self.next = self.rest = 0.0
