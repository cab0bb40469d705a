"""Builds the application over the test's own engines, and runs it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from berrante.app import Application
from berrante.settings import Settings, load
from berrante.web.app import create_app


def settings_for(*, redis_url: str, database_url: str, prefix: str, **changed: Any) -> Settings:
    """The defaults on these engines; rates off, so that no test waits for a window."""
    settings = load(
        redis_url=redis_url,
        database_url=database_url,
        queue_prefix=prefix,
        stop_deadline_ms=2_000,
        secret_key="test-" * 8,
    )
    unlimited = {
        name: settings.queue(name).model_copy(update={"rate_max": 0}) for name in ("message", "automation", "campaign")
    }
    return settings.model_copy(update={**unlimited, **changed})


@asynccontextmanager
async def working(application: Application) -> AsyncIterator[None]:
    """Run all workers for the time of the block."""
    stop = asyncio.Event()
    running = asyncio.create_task(application.run_workers(until=stop))
    try:
        yield
    finally:
        stop.set()
        await running


@asynccontextmanager
async def client_of(application: Application) -> AsyncIterator[httpx.AsyncClient]:
    """A client that calls the application's web side in this process."""
    app = create_app(application)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client
    app.state.health.cancel()
