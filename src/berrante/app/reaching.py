"""Asks both engines whether they are there and fit, before anything is built on them."""

from pathlib import Path
from typing import Final

from alembic.config import Config
from alembic.script import ScriptDirectory
from redis.exceptions import RedisError, ResponseError
from sqlalchemy.exc import SQLAlchemyError

from berrante import store
from berrante.app.engines import Engines
from berrante.app.errors import EngineUnfit, EngineUnreachable, NotMigrated
from berrante.engine import Connection
from berrante.engine.policy.server_fitness import Weight, flaws, server_of
from berrante.store import Database, migrate, revision
from berrante.telemetry import events, scrubbed

_MIGRATIONS: Final = Path(store.__file__).parent / "migrations"


async def reach(engines: Engines, *, connection: Connection, database: Database, migrating: bool) -> None:
    """Raise ``EngineUnreachable``, ``EngineUnfit`` or ``NotMigrated`` unless both are there and as they have to be."""
    await reach_redis(connection)
    if engines.redis_from == "configured":  # the embedded one is ours, and set as it has to be
        await judge_redis(connection)
    await reach_database(database)
    if migrating or engines.database_from == "embedded":
        await migrate(engines.database_url)
        events.MIGRATED(revision=newest_revision())
    elif (found := await revision(engines.database_url)) != newest_revision():
        raise NotMigrated(revision=found, newest=newest_revision())


async def reach_redis(connection: Connection) -> None:
    """Raise ``EngineUnreachable`` unless Redis answers."""
    try:
        await connection.ping()
    except (RedisError, OSError) as error:
        raise EngineUnreachable("Redis", variable="REDIS_URL", reason=_reason(error)) from error


async def judge_redis(connection: Connection) -> None:
    """Raise ``EngineUnfit`` if jobs would be lost there; what it does not tell us is not held against it."""
    try:
        server = server_of(await connection.redis.info())
    except ResponseError:  # a user without the right to ask: its operator has looked after it
        return
    found = [flaw for flaw in flaws(server) if flaw.weight is Weight.REFUSED]
    if found:
        reasons = [(flaw.text, flaw.remedy) for flaw in found]
        raise EngineUnfit(server.kind, variable="REDIS_URL", reasons=reasons)


async def reach_database(database: Database) -> None:
    """Raise ``EngineUnreachable`` unless PostgreSQL answers."""
    try:
        await database.ping()
    except (SQLAlchemyError, OSError) as error:
        raise EngineUnreachable("PostgreSQL", variable="DATABASE_URL", reason=_reason(error)) from error


def newest_revision() -> str:
    """Return the revision of the tables that this version needs."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    newest = ScriptDirectory.from_config(config).get_current_head()
    assert newest is not None
    return newest


def _reason(error: Exception) -> str:
    return scrubbed(str(error) or type(error).__name__).partition("\n")[0]
