"""What the domain asks of tracing: three things, so that one trace holds a message from its cause to its receipt."""

from collections.abc import Mapping
from typing import Protocol

from berrante.engine import Job


class Traces(Protocol):
    """Who traces. Whatever a row is to keep of a trace is asked for by ``kept``, and told again by ``heard``."""

    def within(self, job: Job, /) -> str | None:
        """Return what a job carries that follows from this one."""
        ...

    def kept(self) -> str | None:
        """Return what the row of a message keeps; None: nothing."""
        ...

    def heard(self, name: str, job: Job, *, kept: str, attributes: Mapping[str, str | int | bool]) -> None:
        """Tell, in the trace that a row kept, what a job brought of it."""
        ...


class Untraced:
    """Nobody."""

    def within(self, job: Job, /) -> str | None:
        """Return the job's own trace."""
        return job.trace_context

    def kept(self) -> str | None:
        """Keep nothing."""
        return None

    def heard(self, name: str, job: Job, *, kept: str, attributes: Mapping[str, str | int | bool]) -> None:
        """Tell nobody."""
