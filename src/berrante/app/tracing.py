"""Opens tracing as the settings ask for it, and puts spans about what other rooms do: sends, requests, statements."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, cast
from urllib.parse import urlsplit

import httpx
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from berrante.app.errors import TracingUnavailable
from berrante.gateways.protocol import Accepted, Gateway, InDoubt, OutboundMessage, SendError
from berrante.messaging.endpoints import Sender
from berrante.messaging.endpoints.sending import Answer
from berrante.settings import Settings, Traces
from berrante.telemetry import Tracing
from berrante.telemetry.tracing import Attributes, Kind

_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN: Final = "http/protobuf"
_LONGEST_STATEMENT: Final = 500
_BEGAN: Final = "berrante_began_ns"


@asynccontextmanager
async def open_tracing(settings: Settings) -> AsyncIterator[Tracing]:
    """Yield what traces; at the end, what is not sent yet is. Raises ``TracingUnavailable``."""
    if settings.traces is Traces.NONE:
        yield Tracing()
        return
    try:
        from berrante.telemetry.otel import exporting  # noqa: PLC0415  only who asks for it needs the extra
    except ImportError as error:
        reason = f"OpenTelemetry is not installed ({error})"
        raise TracingUnavailable(reason=reason, remedy="run: pip install 'berrante[otel]'") from error
    for name in _PROTOCOLS:
        if (asked := os.environ.get(name, _SPOKEN)) != _SPOKEN:
            raise TracingUnavailable(reason=f"{name} is {asked!r}", remedy=f"give {name}={_SPOKEN}")
    tracing = exporting()
    try:
        yield tracing
    finally:
        await asyncio.to_thread(tracing.close)


def traced_gateway(gateway: Gateway, tracing: Tracing) -> Gateway:
    """Return the gateway, each of whose sends is a span."""
    return cast("Gateway", _TracedGateway(gateway, tracing)) if tracing.is_on else gateway


class _TracedGateway:
    def __init__(self, inner: Gateway, tracing: Tracing) -> None:
        self._inner = inner
        self._tracing = tracing

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever else the gateway has
        return getattr(self._inner, name)

    async def send(self, message: OutboundMessage) -> Accepted:
        attributes = {
            "berrante.gateway": self._inner.name,
            "berrante.instance_id": message.instance_id,
            "berrante.message_id": str(message.message_id),
            "berrante.content": message.content.type,
        }
        with self._tracing.span(f"send {self._inner.name}", kind=Kind.CLIENT, attributes=attributes) as span:
            try:
                accepted = await self._inner.send(message)
            except SendError as error:
                span.set({"berrante.scope": error.scope.value, "berrante.action": error.action.value})
                raise
            except InDoubt:
                span.set({"berrante.in_doubt": True})
                raise
            span.set({"berrante.provider_id": accepted.provider_id})
            return accepted


class TracedSender(Sender):
    """Each attempt to deliver to an organization's endpoint is a span; its program is told of no trace."""

    def __init__(self, tracing: Tracing, *, allow_loopback: bool = False) -> None:
        super().__init__(allow_loopback=allow_loopback)
        self._tracing = tracing

    async def post(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send once."""
        attributes = {"http.request.method": "POST", "server.address": urlsplit(url).hostname or ""}
        with self._tracing.span("POST", kind=Kind.CLIENT, attributes=attributes) as span:
            answer = await super().post(url, body=body, headers=headers)
            if answer.status is not None:
                span.set({"http.response.status_code": answer.status})
            if answer.error is not None:
                span.fail("undelivered", answer.error)
            return answer


def trace_client(client: httpx.AsyncClient, tracing: Tracing) -> None:
    """Make each request of the client that is answered a span; of others, the span about them says what happened."""
    if not tracing.is_on:
        return

    async def asked(request: httpx.Request) -> None:
        request.extensions[_BEGAN] = time.time_ns()

    async def answered(response: httpx.Response) -> None:
        request = response.request
        attributes: Attributes = {
            "http.request.method": request.method,
            "server.address": request.url.host,
            "http.response.status_code": response.status_code,
        }
        tracing.record(request.method, kind=Kind.CLIENT, began_ns=request.extensions[_BEGAN], attributes=attributes)

    client.event_hooks["request"].append(asked)
    client.event_hooks["response"].append(answered)


def trace_database(engine: AsyncEngine, tracing: Tracing) -> None:
    """Make each statement a span, with its text, which has placeholders where values go."""
    if not tracing.is_on:
        return

    def before(_connection: Any, _cursor: Any, _statement: str, _values: Any, context: Any, _many: bool) -> None:  # noqa: ANN401
        setattr(context, _BEGAN, time.time_ns())

    def after(_connection: Any, _cursor: Any, statement: str, _values: Any, context: Any, _many: bool) -> None:  # noqa: ANN401
        verb = statement.split(maxsplit=1)[0].upper()
        attributes = {"db.system.name": "postgresql", "db.query.text": statement[:_LONGEST_STATEMENT]}
        tracing.record(verb, kind=Kind.CLIENT, began_ns=getattr(context, _BEGAN), attributes=attributes)

    event.listen(engine.sync_engine, "before_cursor_execute", before)
    event.listen(engine.sync_engine, "after_cursor_execute", after)
