"""What each kind of process runs, from its start to its orderly end."""

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from berrante import __version__
from berrante.app.application import Application
from berrante.app.engines import open_engines
from berrante.app.options import WORKED
from berrante.app.reaching import newest_revision, reach_database
from berrante.app.serving import address_of, listen, serve
from berrante.app.sidecar import run_sidecar, watch_sidecar
from berrante.app.stopping import stop_on_signals
from berrante.messaging.queues import QueueName
from berrante.settings import Settings
from berrante.store import Database
from berrante.store import migrate as migrate_store
from berrante.telemetry import events
from berrante.web.app import create_app, create_health_app

Prepare = Callable[[Application, str], Awaitable[None]]

_COLLECT_EVERY: Final = 10_000  # objects made; Python's own is 700


async def up(settings: Settings, *, prepare: Prepare) -> None:
    """Run the web side and all workers until a signal; ``prepare`` is called first, with the web side's address.

    Raises ``DataDirInUse`` if another process has the data folder, and what ``Application.open`` raises.
    """
    async with _process(settings, queues=WORKED, alone=True, migrating=True) as (application, stop):
        listener = listen(settings.host, settings.port)
        try:
            beside = _private(application, stop)
            await prepare(application, address_of(listener))
            await _together(
                stop,
                application.run_workers(WORKED, until=stop),
                watch_sidecar(application, until=stop),
                serve(create_app(application), listener, until=stop, trusted_proxies=settings.trusted_proxies),
                *beside,
            )
        finally:
            listener.close()


async def web(settings: Settings) -> None:
    """Run the web side until a signal."""
    async with _process(settings, queues=()) as (application, stop):
        listener = listen(settings.host, settings.port)
        serving = serve(create_app(application), listener, until=stop, trusted_proxies=settings.trusted_proxies)
        await _together(stop, serving, *_private(application, stop))


async def work(settings: Settings, names: Iterable[QueueName]) -> None:
    """Run workers until a signal."""
    worked = tuple(names)
    async with _process(settings, queues=worked) as (application, stop):
        beside = _private(application, stop)
        await _together(stop, application.run_workers(worked, until=stop), *beside)


async def sidecar(settings: Settings) -> None:
    """Run the Baileys sidecar until a signal; raises ``BaileysError`` if it cannot be started."""
    async with _process(settings, queues=()) as (application, stop):
        await run_sidecar(application, until=stop)


async def migrate_database(settings: Settings) -> str:
    """Bring the database to the newest tables and return their revision."""
    async with open_engines(settings) as engines:
        database = Database(engines.database_url)
        try:
            await reach_database(database)
        finally:
            await database.close()
        await migrate_store(engines.database_url)
    return newest_revision()


@asynccontextmanager
async def _process(
    settings: Settings, *, queues: Iterable[QueueName], alone: bool = False, migrating: bool = False
) -> AsyncIterator[tuple[Application, asyncio.Event]]:
    stopping_at: float | None = None
    with stop_on_signals(deadline_ms=settings.stop_deadline_ms) as stop:
        async with Application.open(settings, alone=alone, migrating=migrating) as application:
            events.STARTED(
                version=__version__,
                pid=os.getpid(),
                queues=",".join(queues) or None,
                redis=application.engines.redis_from,
                database=application.engines.database_from,
            )
            yield application, stop
            stopping_at = time.monotonic()
    if stopping_at is not None:
        events.STOPPED(took_ms=round((time.monotonic() - stopping_at) * 1_000))


def _private(application: Application, stop: asyncio.Event) -> list[Coroutine[Any, Any, None]]:
    """Return what serves health and metrics on a port of their own, if there is to be one; raises ``PortTaken``."""
    settings = application.settings
    if not settings.health_port:
        return []
    listener = listen(settings.health_host, settings.health_port, option="--health-port")
    return [serve(create_health_app(application), listener, until=stop)]


def _spare_the_collector() -> None:
    """Have Python's cyclic collector leave alone what is there before the work begins, and look less often.

    Modules, routes and tables stay until the end. To walk over them again and again costs requests and jobs pauses of
    tens of milliseconds, and finds nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY, 20, 20)


async def _together(stop: asyncio.Event, *parts: Coroutine[Any, Any, None]) -> None:
    """Run the parts until all ended; when one ends or raises, the others are asked to stop."""
    _spare_the_collector()
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.set()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        task.result()
