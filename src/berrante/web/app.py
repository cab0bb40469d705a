"""Makes the FastAPI app of a process."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from berrante import __version__
from berrante.telemetry import Tracing, events
from berrante.telemetry.tracing import Kind, Span
from berrante.web import (
    api,
    board,
    board_access,
    errors,
    examples,
    health,
    idempotency,
    login,
    metrics,
    request_id,
    sessions,
    webhooks,
)
from berrante.web.bodies import BodyLimits
from berrante.web.services import Services
from berrante.web.tokens import Tokens

#: Probes and scrapes come by the second: no spans of theirs.
_WATCHED: Final = ("/health", "/metrics")
_UNTRACED: Final = Tracing()


def create_app(application: Services) -> FastAPI:
    """Make the app over the services of a process, which it neither opens nor closes."""
    # No docs pages: they load scripts from a CDN. The document itself is at /openapi.json.
    app = FastAPI(title="Berrante", version=__version__, docs_url=None, redoc_url=None, lifespan=_lifespan)
    _watched(app, application, private=False)
    app.state.tokens = Tokens(application.secret_key)
    for router in (webhooks.router, sessions.router, login.router, api.router):
        app.include_router(router)
    board.mount(
        app,
        board_access.guard_of(board.OwnerByPassword(application.people)),
        on_write=board_access.audited(application.database),
        options=board.options_of(application.settings),
    )

    @app.get("/", include_in_schema=False)
    async def root() -> dict[str, str]:
        return {"name": "berrante", "version": __version__, "health": "/health", "openapi": "/openapi.json"}

    idempotency.describe(app)
    examples.describe(app)
    app.add_middleware(idempotency.Idempotency)
    app.add_middleware(BodyLimits)
    app.add_middleware(_Observed, tracing=application.tracing)
    return app


def create_health_app(application: Services) -> FastAPI:
    """Make the app of the private port: health and metrics alone."""
    app = FastAPI(title="Berrante", version=__version__, docs_url=None, redoc_url=None, lifespan=_lifespan)
    _watched(app, application, private=True)
    app.add_middleware(_Observed, tracing=_UNTRACED)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.health.cancel()
    app.state.scrape.cancel()


def _watched(app: FastAPI, application: Services, *, private: bool) -> None:
    app.state.application = application
    app.state.health = health.Health(application)
    app.state.scrape = metrics.Scrape(application, private=private)
    errors.install(app)
    app.include_router(health.router)
    app.include_router(metrics.router)


class _Observed:
    """Gives each request its id, logs it without its query, and answers what nobody caught in our form."""

    def __init__(self, app: ASGIApp, *, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        given = next((value for name, value in scope["headers"] if name == request_id.HEADER), None)
        own_id = request_id.chosen(given)
        request_id.current.set(own_id)
        state = scope.setdefault("state", {})

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                rate = {} if status == 429 else state.get("rate_headers", {})
                more = {"X-Request-Id": own_id, **rate}
                added = [(name.lower().encode(), value.encode()) for name, value in more.items()]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        parent = dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1")
        try:
            tracing = _UNTRACED if scope["path"].startswith(_WATCHED) else self._tracing
            with tracing.span(scope["method"], kind=Kind.SERVER, parent=parent) as span:
                try:
                    await self._app(scope, receive, observed)
                finally:
                    if tracing.is_on:
                        _describe(span, scope, status)
        except Exception as error:
            answer = errors.unexpected(error)
            if answer.status_code == 500:
                events.REQUEST_FAILED(method=scope["method"], path=scope["path"], error=str(error), exc_info=True)
            if status:  # half an answer is out: only a broken connection says that the rest will not come
                raise
            await answer(scope, receive, observed)
        finally:
            ms = round((time.perf_counter() - started) * 1_000, 1)
            events.REQUEST(method=scope["method"], path=scope["path"], status=status, ms=ms)


def _describe(span: Span, scope: Scope, status: int) -> None:
    """Say which route was asked for, never with what: paths hold ids, and queries what people search."""
    method, route = scope["method"], getattr(scope.get("route"), "path", None)
    span.set({"http.request.method": method} | ({"http.response.status_code": status} if status else {}))
    if route is not None:
        span.rename(f"{method} {route}")
        span.set({"http.route": route})
    if status >= 500:
        span.fail(str(status), "answered with an error")
