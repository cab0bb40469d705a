"""Spans, with OpenTelemetry's own SDK: one trace from a webhook to the receipt of its answer, and none without it."""

import hashlib
import hmac
import json
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import select

from berrante.app import AppError, Application, demo
from berrante.app.errors import TracingUnavailable
from berrante.app.tracing import open_tracing
from berrante.engine import State
from berrante.gateways.simulator import refusal
from berrante.messaging.tables import messages
from berrante.settings import Settings, Traces
from berrante.telemetry.otel import OpenTelemetry
from tests.app.process import client_of, settings_for, working
from tests.waiting import until

_SENDER = "5511987654321"
_WORDS = "how much is the very private thing"
_TRACE = "ab" * 16
_STATEMENTS = {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}
_PARENT = f"00-{_TRACE}-{'cd' * 8}-01"


@pytest.fixture
def quiet(redis_url: str, database_url: str, prefix: str) -> Settings:
    settings = settings_for(redis_url=redis_url, database_url=database_url, prefix=prefix)
    return settings.model_copy(update={"demo": settings.demo.model_copy(update={"contacts": 0})})


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest_asyncio.fixture
async def application(quiet: Settings, exporter: InMemorySpanExporter) -> AsyncIterator[Application]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    async with Application.open(quiet, latency_ms=5, tracing=OpenTelemetry(provider)) as application:
        yield application


async def _webhook(application: Application, access: demo.DemoAccess, *texts: str, parent: str = _PARENT) -> None:
    """Deliver what people wrote, one after the other, in one signed request."""
    written = [
        {
            "from": f"{int(_SENDER) + place}",
            "id": f"wamid.{uuid4().hex}",
            "timestamp": "1760000000",
            "type": "text",
            "text": {"body": text},
        }
        for place, text in enumerate(texts)
    ]
    value = {"messaging_product": "whatsapp", "metadata": {"phone_number_id": "1"}, "messages": written}
    entry = [{"id": "1", "changes": [{"field": "messages", "value": value}]}]
    body = json.dumps({"object": "whatsapp_business_account", "entry": entry}).encode()
    digest = hmac.new(str(access.app_secret).encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": f"sha256={digest}", "traceparent": parent}
    async with client_of(application) as client:
        assert (await client.post("/webhooks/whatsapp/demo", content=body, headers=headers)).status_code == 200


async def _all_are(application: Application, access: demo.DemoAccess, *statuses: str) -> None:
    async def are_so() -> bool:
        listed = await application.messages.list(access.instance.organization_id)
        return [message.status.value for message in listed if message.direction == "out"] == list(statuses)

    await until(are_so, timeout_s=20)


async def _kept(application: Application) -> list[str | None]:
    async with application.database.begin() as connection:
        mine = select(messages.c.trace_context).where(messages.c.direction == "out")
        return list((await connection.execute(mine)).scalars())


def _trace(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def _parents(spans: Sequence[ReadableSpan], child: ReadableSpan) -> list[str]:
    """The names of a span's parents, the nearest first."""
    by_id = {span.context.span_id: span for span in spans if span.context}
    found = []
    while child.parent is not None and child.parent.span_id in by_id:
        child = by_id[child.parent.span_id]
        found.append(child.name)
    return found


async def test_one_trace_goes_from_the_webhook_to_the_receipt(
    application: Application, exporter: InMemorySpanExporter
) -> None:
    access = await demo.prepare(application)
    await _webhook(application, access, "hello")
    async with working(application):
        await _all_are(application, access, "read")
    whole = exporter.get_finished_spans()
    spans = [span for span in whole if _trace(span) == _TRACE]
    kinds = {span.name: span.kind for span in spans if span.name not in _STATEMENTS}
    webhook = "POST /webhooks/whatsapp/{instance_id}"
    assert kinds == {
        webhook: SpanKind.SERVER,
        "add message": SpanKind.PRODUCER,
        "process message": SpanKind.CONSUMER,
        "process automation": SpanKind.CONSUMER,
        "add outbound": SpanKind.PRODUCER,
        "process outbound": SpanKind.CONSUMER,
        "send simulator": SpanKind.CLIENT,
        "receipt sent": SpanKind.INTERNAL,
        "receipt delivered": SpanKind.INTERNAL,
        "receipt read": SpanKind.INTERNAL,
    }
    (send,) = (span for span in spans if span.name == "send simulator")
    way = [
        "process outbound",
        "add outbound",
        "process automation",
        "process message",
        "add message",
        webhook,
    ]
    assert _parents(spans, send) == way
    (read,) = (span for span in spans if span.name == "receipt read")
    assert _parents(spans, read) == way
    # The receipt came by a job in a trace of its own: the span says which.
    (link,) = read.links
    (told_by,) = (span for span in whole if span.context and span.context.span_id == link.context.span_id)
    assert told_by.name.startswith("process message")
    # What was stored for the message stands below its run.
    assert any(span.name == "INSERT" and _parents(spans, span)[0] == "process message" for span in spans)


async def test_jobs_that_run_together_have_one_span_that_links_to_all_and_one_each(
    application: Application, exporter: InMemorySpanExporter
) -> None:
    access = await demo.prepare(application)
    traces = [f"{number:032x}" for number in (11, 12, 13)]
    for trace in traces:
        await _webhook(application, access, "hello", parent=f"00-{trace}-{'cd' * 8}-01")
    async with working(application):
        await _all_are(application, access, "read", "read", "read")
    spans = exporter.get_finished_spans()
    batches = [span for span in spans if span.name == "process message batch"]
    (batch,) = (span for span in batches if {f"{link.context.trace_id:032x}" for link in span.links} == set(traces))
    assert batch.attributes is not None
    assert (batch.attributes["messaging.batch.message_count"], batch.parent) == (3, None)
    assert _trace(batch) not in traces
    # The statements that store all of them are the batch's, and each answer is in the trace of what it answers.
    assert "process message batch" in {
        name for span in spans if span.name == "INSERT" for name in _parents(spans, span)[:1]
    }
    named = Counter((_trace(span), span.name) for span in spans)
    for trace in traces:
        assert named[trace, "process message"] == named[trace, "send simulator"] == named[trace, "receipt read"] == 1


async def test_a_refused_send_is_an_error_and_no_span_holds_a_text_or_a_number(
    application: Application, exporter: InMemorySpanExporter
) -> None:
    access = await demo.prepare(application)
    application.simulator.fail_next(refusal("131026"), to=f"+{_SENDER}")
    await _webhook(application, access, _WORDS)
    async with working(application):
        await _all_are(application, access, "failed")
    spans = exporter.get_finished_spans()
    (send,) = (span for span in spans if span.name == "send simulator")
    assert send.status.status_code is StatusCode.ERROR
    assert send.attributes is not None
    assert send.attributes["error.type"] == "131026"
    said = repr([(span.name, dict(span.attributes or {}), span.status.description) for span in spans])
    assert [each for each in (_WORDS, _SENDER, str(access.api_key), str(access.app_secret)) if each in said] == []


async def test_without_traces_no_row_keeps_one_and_the_log_still_has_ids(quiet: Settings) -> None:
    async with Application.open(quiet, latency_ms=5) as application:
        assert not application.tracing.is_on
        access = await demo.prepare(application)
        await _webhook(application, access, "hello")
        async with working(application):
            await _all_are(application, access, "read")
        assert await _kept(application) == [None]
        (job,) = await application.queues.automation.jobs([State.COMPLETED])
        assert _TRACE in str(job.trace_context)


class _Collector(BaseHTTPRequestHandler):
    """Takes what an OTLP/HTTP exporter sends."""

    requests: list[tuple[str, Mapping[str, str], ExportTraceServiceRequest]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.requests.append((self.path, dict(self.headers), ExportTraceServiceRequest.FromString(body)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Collector]]:
    """One on loopback, which the standard variables name."""
    handler = type("Collector", (_Collector,), {"requests": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=berrante")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "berrante-eu")
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


async def test_a_collector_gets_the_whole_trace(quiet: Settings, collector: type[_Collector]) -> None:
    settings = quiet.model_copy(update={"traces": Traces.OTLP})
    async with Application.open(settings, latency_ms=5) as application:
        access = await demo.prepare(application)
        await _webhook(application, access, "hello")
        async with working(application):
            await _all_are(application, access, "read")
        (kept,) = await _kept(application)
        assert _TRACE in str(kept)
    # Whatever was not sent yet was sent at the end.
    names = {
        span.name
        for _, _, request in collector.requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
        if span.trace_id.hex() == _TRACE
    }
    assert names >= {
        "POST /webhooks/whatsapp/{instance_id}",
        "process message",
        "process automation",
        "process outbound",
        "send simulator",
        "receipt read",
    }
    path, headers, request = collector.requests[0]
    assert (path, headers["x-tenant"]) == ("/v1/traces", "berrante")
    resource = {each.key: each.value.string_value for each in request.resource_spans[0].resource.attributes}
    assert resource["service.name"] == "berrante-eu"


async def _refused(settings: Settings) -> AppError:
    with pytest.raises(TracingUnavailable) as refused:
        async with open_tracing(settings):
            raise AssertionError("it was opened")
    return refused.value


async def test_traces_without_the_extra_end_the_start_with_the_remedy(
    quiet: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "berrante.telemetry.otel")
    for name in [name for name in sys.modules if name.startswith("opentelemetry.sdk")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    said = str(await _refused(quiet.model_copy(update={"traces": Traces.OTLP})))
    assert "pip install 'berrante[otel]'" in said
    assert "BERRANTE_TRACES=none" in said
    async with open_tracing(quiet) as tracing:  # nobody who does not ask for it needs it
        assert not tracing.is_on


async def test_a_protocol_that_is_not_spoken_is_refused_by_name(
    quiet: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    said = str(await _refused(quiet.model_copy(update={"traces": Traces.OTLP})))
    assert "give OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in said
