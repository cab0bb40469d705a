"""Makes the FastAPI app of a process."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from berrante import __version__
from berrante.telemetry import events
from berrante.web import api, board, errors, health, webhooks
from berrante.web.body_limit import BodyLimit
from berrante.web.services import Services


def create_app(application: Services) -> FastAPI:
    """Make the app over the services of a process, which it neither opens nor closes."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        app.state.health.cancel()

    # No docs pages: they load scripts from a CDN. The document itself is at /openapi.json.
    app = FastAPI(title="Berrante", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.application = application
    app.state.health = health.Health(application)
    errors.install(app)
    for router in (health.router, webhooks.router, api.router):
        app.include_router(router)
    board.mount(app, board.OwnerByPassword(application.people), options=board.options_of(application.settings))

    @app.get("/", include_in_schema=False)
    async def root() -> dict[str, str]:
        return {"name": "berrante", "version": __version__, "health": "/health", "openapi": "/openapi.json"}

    app.add_middleware(BodyLimit)
    app.add_middleware(_Observed)
    return app


class _Observed:
    """Logs each request without its query, and turns what nobody caught into an answer in our form."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, observed)
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
