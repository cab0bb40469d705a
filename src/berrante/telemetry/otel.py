"""Spans for OpenTelemetry: the only module that imports it, and itself imported only when the settings ask for it.

The SDK's own variables (``OTEL_SERVICE_NAME``, ``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_TRACES_SAMPLER`` and the like)
say where spans go, and how many.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Final

from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from berrante import __version__
from berrante.engine import Job
from berrante.telemetry.privacy import scrubbed
from berrante.telemetry.trace import continued
from berrante.telemetry.tracing import Attributes, BatchSpans, Kind, Span, Tracing
from berrante.telemetry.worker_log import about

_W3C: Final = TraceContextTextMapPropagator()
_LONGEST_REASON: Final = 200
#: What the jobs of the batch that runs now carry on, by their ids.
_batch: Final[ContextVar[Mapping[str, str | None]]] = ContextVar("berrante_batch")


def exporting() -> "OpenTelemetry":
    """Return tracing whose spans go to an OTLP/HTTP collector, by a thread of their own."""
    # The variables go before what we call ourselves.
    named = OTELResourceDetector().detect().attributes
    resource = Resource.create({"service.name": "berrante", "service.version": __version__, **named})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OpenTelemetry(provider)


class OpenTelemetry(Tracing):
    """Makes spans with a provider; ``close`` sends what it still holds."""

    is_on = True

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("berrante", __version__)

    def close(self) -> None:
        """Send what is held, or give it up if the collector is away; blocks for that long."""
        self._provider.shutdown()

    @contextmanager
    def span(
        self,
        name: str,
        *,
        kind: Kind = Kind.INTERNAL,
        parent: str | None = None,
        attributes: Attributes | None = None,
    ) -> Iterator[Span]:
        """Open a span; what is raised within marks it failed."""
        context = None if parent is None else _read(parent)
        started = self._tracer.start_span(name, context=context, kind=SpanKind[kind], attributes=attributes)
        with _current(started):
            yield _Own(started)

    def record(self, name: str, *, kind: Kind, began_ns: int, attributes: Attributes) -> None:
        """Add a span of something that is over; outside of any trace nothing is added."""
        if api.get_current_span().get_span_context().is_valid:
            self._tracer.start_span(name, kind=SpanKind[kind], attributes=attributes, start_time=began_ns).end()

    @contextmanager
    def job(self, job: Job) -> Iterator[Span]:
        """Open the span of a job's run, whose parent is the job's producer."""
        with _current(self._run(job)) as started:
            yield _Own(started)

    @contextmanager
    def batch(self, jobs: Sequence[Job]) -> Iterator[BatchSpans]:
        """Open a span of the batch, linked to all its jobs, and one of each job in the job's own trace.

        What is done for all jobs at once, as a statement that stores them, stands below the batch's span; of a batch of
        one job the job's span is that.
        """
        runs = {job.id: self._run(job) for job in jobs}
        with ExitStack() as stack:
            if len(jobs) == 1:
                (whole,) = runs.values()
            else:
                queue = jobs[0].queue_name
                whole = self._tracer.start_span(
                    f"process {queue} batch",
                    context=Context(),
                    kind=SpanKind.CONSUMER,
                    links=_links([job.trace_context for job in jobs]),
                    attributes={**_messaging(queue, "process"), "messaging.batch.message_count": len(jobs)},
                )
            token = _batch.set({job_id: _written(run) for job_id, run in runs.items()})
            try:
                stack.enter_context(_current(whole, ends=False))
                yield _Runs(runs)
            finally:
                _batch.reset(token)
                for span in {whole, *runs.values()}:
                    span.end()

    def added(self, queue: str) -> str | None:
        """Return a span of the add itself, as BullMQ's own telemetry makes one; jobs of one call share it."""
        started = self._tracer.start_span(
            f"add {queue}", kind=SpanKind.PRODUCER, attributes=_messaging(queue, "add", kind="send")
        )
        started.end()
        return _written(started)

    def within(self, job: Job) -> str | None:
        """Return the span of the job's run."""
        return _batch.get({}).get(job.id) or job.trace_context

    def kept(self) -> str | None:
        """Return the current span."""
        span = api.get_current_span()
        return _written(span) if span.get_span_context().is_valid else None

    def heard(self, name: str, job: Job, *, kept: str, attributes: Attributes) -> None:
        """Add a span to the trace that a row kept, linked to the job that told of it."""
        links = _links([self.within(job)])
        self._tracer.start_span(name, context=_read(kept), links=links, attributes=attributes).end()

    def _run(self, job: Job) -> api.Span:
        attributes: dict[str, str | int | bool] = {
            **_messaging(job.queue_name, "process"),
            "messaging.message.id": job.id,
        }
        for name, value in about(job).items():
            if name in {"job", "organization_id", "instance_id", "attempt"} and value is not None:
                attributes[f"berrante.{name}"] = value
        return self._tracer.start_span(
            f"process {job.queue_name}",
            context=_read(job.trace_context or ""),
            kind=SpanKind.CONSUMER,
            attributes=attributes,
        )


class _Own(Span):
    def __init__(self, span: api.Span) -> None:
        self._span = span

    def set(self, attributes: Attributes, /) -> None:
        self._span.set_attributes(attributes)

    def rename(self, name: str, /) -> None:
        self._span.update_name(name)

    def fail(self, kind: str, reason: str, /) -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(StatusCode.ERROR, scrubbed(reason)[:_LONGEST_REASON])


class _Runs(BatchSpans):
    def __init__(self, runs: Mapping[str, api.Span]) -> None:
        self._runs = runs

    @contextmanager
    def of(self, job: Job) -> Iterator[object]:
        with _current(self._runs[job.id], ends=False) as run:
            yield run

    def ended(self, outcomes: Mapping[str, object]) -> None:
        for job_id, run in self._runs.items():
            if isinstance(outcome := outcomes.get(job_id), Exception):
                _fail(run, outcome)


@contextmanager
def _current(span: api.Span, *, ends: bool = True) -> Iterator[api.Span]:
    """Make a span the current one, of log lines too."""
    with api.use_span(span, end_on_exit=ends, record_exception=False, set_status_on_exception=False):
        try:
            with continued(_written(span)):
                yield span
        except Exception as error:
            _fail(span, error)
            raise


def _fail(span: api.Span, error: Exception) -> None:
    code = getattr(error, "code", None)
    _Own(span).fail(code if isinstance(code, str) else type(error).__name__, str(error))


def _messaging(queue: str, operation: str, *, kind: str | None = None) -> dict[str, str | int | bool]:
    return {
        "messaging.system": "bullmq",
        "messaging.destination.name": queue,
        "messaging.operation.name": operation,
        "messaging.operation.type": kind or operation,
    }


def _written(span: api.Span) -> str | None:
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, context=api.set_span_in_context(span, Context()))
    return json.dumps(carrier) if carrier else None


def _read(text: str) -> Context:
    """Read what a job or a request carries; anything that is no trace is none."""
    try:
        carrier = json.loads(text) if text.startswith("{") else {"traceparent": text}
    except ValueError:
        return Context()
    texts = {name: value for name, value in carrier.items() if isinstance(value, str)}
    return _W3C.extract(texts, context=Context())


def _links(carried: Sequence[str | None]) -> list[Link]:
    contexts = [api.get_current_span(_read(text)).get_span_context() for text in carried if text]
    # Jobs of one call were added by one span.
    found = {(context.trace_id, context.span_id): context for context in contexts if context.is_valid}
    return [Link(context) for context in found.values()]
