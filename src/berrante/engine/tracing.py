"""Traces that go through the queue, in BullMQ's own field: no dependency on a tracing library, two hooks.

A producer's ``Queue(..., trace_context=...)`` returns the context as text, and ``tm`` of the job's options carries it;
``omc`` says that a job must carry none. Node's ``bullmq-otel`` writes and reads there the JSON of what OpenTelemetry's
propagator injects: ``{"traceparent": "00-…"}``. A worker's ``around`` opens a span about each run. With OpenTelemetry::

    def trace_context() -> str | None:
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return json.dumps(carrier) if carrier else None

    @contextmanager
    def around(job: Job) -> Iterator[None]:
        parent = propagate.extract(json.loads(job.trace_context)) if job.trace_context else None
        with tracer.start_as_current_span(f"process {job.queue_name}", context=parent, kind=SpanKind.CONSUMER):
            yield

    Queue("message", connection, trace_context=trace_context)
    Worker("message", handle, connection, around=around)
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from berrante.engine.job import Job
from berrante.engine.options import JobOptions
from berrante.engine.runner import Handler

#: Returns the current trace's context as text, or None outside of any.
TraceContext = Callable[[], str | None]

#: Makes what is entered before a job's handler and left after it; it sees what the handler raises.
Around = Callable[[Job], AbstractContextManager[object]]


def carrying(trace: str | None, options: JobOptions) -> JobOptions:
    """Return options that carry ``trace``, unless they have one of their own or are to carry none."""
    if trace is None or options.trace_context is not None or options.omit_trace_context:
        return options
    return replace(options, trace_context=trace)


def traced(handler: Handler, around: Around) -> Handler:
    """Wrap a handler so that each run happens inside ``around(job)``; what that raises fails the run."""

    async def run(job: Job) -> object:
        with around(job):
            return await handler(job)

    return run
