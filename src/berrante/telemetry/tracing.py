"""What is traced, and what of it happens without OpenTelemetry: ids go through queues and log lines, no span is made.

``otel.OpenTelemetry`` is the other kind, of the extra ``berrante[otel]``.
"""

import enum
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

from berrante.engine import Job
from berrante.telemetry.trace import carrier, continued

#: What a span says of itself: ids and counts, never a text or a phone number.
Attributes = Mapping[str, str | int | bool]


class Kind(enum.StrEnum):
    """Which side of a call a span is; OpenTelemetry's own names."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


class Span:
    """One of nobody."""

    def set(self, attributes: Attributes, /) -> None:
        """Say more of it."""

    def rename(self, name: str, /) -> None:
        """Give it a better name than it began with."""

    def fail(self, kind: str, reason: str, /) -> None:
        """Say that what it stands for failed."""


class BatchSpans:
    """The spans of a batch's jobs, each in its job's own trace."""

    def of(self, job: Job) -> AbstractContextManager[object]:  # noqa: ARG002  for the other kind
        """Return the job's trace, to be entered; what is logged of a job names its own trace anyhow."""
        return nullcontext()

    def ended(self, outcomes: Mapping[str, object]) -> None:
        """Say what came of each job; an exception is a failure of that job alone."""


_NOBODYS: Final = Span()
_BATCH: Final = BatchSpans()


class Tracing:
    """Makes spans; this kind makes none."""

    #: Whether spans are made, and so whether it is worth to gather what they would say.
    is_on = False

    def span(
        self,
        name: str,  # noqa: ARG002  for the other kind
        *,
        kind: Kind = Kind.INTERNAL,  # noqa: ARG002
        parent: str | None = None,
        attributes: Attributes | None = None,  # noqa: ARG002
    ) -> AbstractContextManager[Span]:
        """Open a span within the current one; with ``parent``, what a job or a request carries, in that trace."""
        return nullcontext(_NOBODYS) if parent is None else _within(parent)

    def record(self, name: str, *, kind: Kind, began_ns: int, attributes: Attributes) -> None:
        """Add a span to the current trace, if there is one, of something that is over and began then."""

    def job(self, job: Job) -> AbstractContextManager[Span]:
        """Open the span of a job's run."""
        return _within(job.trace_context or "")

    def batch(self, jobs: Sequence[Job]) -> AbstractContextManager[BatchSpans]:  # noqa: ARG002  for the other kind
        """Open the spans of many jobs that are one run."""
        return nullcontext(_BATCH)

    def added(self, queue: str) -> str | None:  # noqa: ARG002  for the other kind
        """Return what a job that is added to the queue now carries."""
        return carrier()

    def within(self, job: Job) -> str | None:
        """Return what a job carries that follows from this one, which runs now."""
        return job.trace_context

    def kept(self) -> str | None:
        """Return what a row keeps, so that what is heard of it later joins the current trace; None: nothing."""
        return None

    def heard(self, name: str, job: Job, *, kept: str, attributes: Attributes) -> None:
        """Add to the trace that a row kept what a job told of it."""


@contextmanager
def _within(parent: str) -> Iterator[Span]:
    with continued(parent):
        yield _NOBODYS
