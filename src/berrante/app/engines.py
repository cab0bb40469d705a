"""Redis and PostgreSQL for one process: the configured ones, or embedded ones, started here or found running."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from berrante.app.guarding import keep_alive
from berrante.app.running import wait_for_running
from berrante.embedded import DataDir, DataDirInUse, EmbeddedPostgres, EmbeddedValkey
from berrante.settings import Settings
from berrante.telemetry import events


@dataclass(frozen=True, kw_only=True, slots=True)
class Engines:
    """Addresses, and where each came from: ``configured``, ``embedded`` (ours to stop) or ``adopted`` (another's)."""

    redis_url: str
    redis_from: str
    database_url: str
    database_from: str


@asynccontextmanager
async def open_engines(settings: Settings, *, alone: bool = False) -> AsyncIterator[Engines]:
    """Yield the engines; those that this call started are stopped at the end.

    An engine without a configured address is embedded in the data folder. If another process of ours has that folder,
    its engines are used and left alone, unless ``alone``: then ``DataDirInUse`` is raised.
    """
    redis = settings.redis_url.get_secret_value() if settings.redis_url else None
    database = settings.database_url.get_secret_value() if settings.database_url else None
    origins = {True: "configured", False: "embedded"}
    redis_from, database_from = origins[redis is not None], origins[database is not None]
    async with AsyncExitStack() as stack:
        if redis is None or database is None:
            folder = DataDir(settings.data_dir)
            try:
                stack.enter_context(folder)
            except DataDirInUse:
                if alone:
                    raise
                found = await wait_for_running(folder.path, redis=redis is None, database=database is None)
                if (redis is None and not found.redis_url) or (database is None and not found.database_url):
                    # Whoever has the folder runs on other engines: this process cannot start more in it.
                    raise
                redis_from = "adopted" if redis is None else redis_from
                database_from = "adopted" if database is None else database_from
                redis, database = redis or found.redis_url, database or found.database_url
            else:
                redis = redis or await _started(stack, "Valkey", EmbeddedValkey(folder / "valkey"))
                database = database or await _started(stack, "PostgreSQL", EmbeddedPostgres(folder / "postgres"))
        assert redis is not None
        assert database is not None
        yield Engines(redis_url=redis, redis_from=redis_from, database_url=database, database_from=database_from)


async def _started(stack: AsyncExitStack, name: str, engine: EmbeddedValkey | EmbeddedPostgres) -> str:
    stack.callback(events.ENGINES_STOPPED, engine=name)
    await stack.enter_async_context(engine)
    await keep_alive(stack, name, engine)
    events.ENGINES_STARTED(engine=name, pid=engine.pid, folder=str(engine.folder))
    return engine.url
