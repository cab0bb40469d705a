"""How long finished jobs are kept."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Retention:
    """Keep finished jobs for ``age_s`` seconds and at most ``count`` of them; None means no bound of that kind.

    BullMQ applies retention when a job finishes, never in the background: a quiet queue keeps its last jobs.

    >>> Retention(age_s=86_400, count=500)
    Retention(age_s=86400, count=500)
    """

    age_s: int | None = None
    count: int | None = None

    def __post_init__(self) -> None:
        if self.age_s is not None and self.age_s < 0:
            raise ValueError(f"Retention.age_s is {self.age_s}: give 0 or more, or None for no bound")
        if self.count is not None and self.count < 0:
            raise ValueError(f"Retention.count is {self.count}: give 0 or more, or None for no bound")

    @classmethod
    def nothing(cls) -> "Retention":
        """Remove the job as soon as it finishes."""
        return cls(count=0)

    @classmethod
    def everything(cls) -> "Retention":
        """Keep every finished job until it is cleaned by hand."""
        return cls()
