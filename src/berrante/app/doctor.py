"""Looks at everything that the service stands on, and says what to do about what is not well."""

import enum
import platform
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from berrante.app.engines import Engines, open_engines
from berrante.app.errors import EngineUnreachable
from berrante.app.reaching import newest_revision, reach_database, reach_redis
from berrante.embedded import EmbeddedError
from berrante.engine import Connection, IncompatibleScripts
from berrante.engine.wire.scripts import check_compatible
from berrante.settings import Settings, unknown_variables
from berrante.store import Database, revision, unguarded_tables

_OLDEST_REDIS: Final = (7, 0)
_OLDEST_VALKEY: Final = (8, 0)
_OLDEST_POSTGRES: Final = 140_000


class Verdict(enum.Enum):
    """Whether something has to be mended."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    BAD = "bad"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was looked at; what is not good has a remedy."""

    name: str
    verdict: Verdict
    detail: str
    remedy: str | None = None


def good(name: str, detail: str) -> Finding:
    """Say that nothing has to be done."""
    return Finding(name=name, verdict=Verdict.GOOD, detail=detail)


def judged(name: str, detail: str, *, fits: bool, remedy: str, otherwise: Verdict = Verdict.BAD) -> Finding:
    """Say that it is good if it fits."""
    return good(name, detail) if fits else Finding(name=name, verdict=otherwise, detail=detail, remedy=remedy)


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Yield the findings. Embedded engines are started for this if nothing runs on the data folder."""
    yield judged(
        "Python", platform.python_version(), fits=sys.version_info >= (3, 11), remedy="install Python 3.11 or newer"
    )
    unknown = unknown_variables()
    yield judged(
        "settings",
        f"not known: {', '.join(unknown)}" if unknown else "readable",
        fits=not unknown,
        remedy=f"did you mean {', '.join(meant for meant in unknown.values() if meant)}?",
        otherwise=Verdict.DOUBTFUL,
    )
    yield _scripts()
    try:
        async with open_engines(settings) as engines:
            for finding in [*await _redis(engines), *await _database(engines)]:
                yield finding
    except EmbeddedError as error:
        yield Finding(
            name="embedded engines",
            verdict=Verdict.BAD,
            detail=str(error),
            remedy="or set REDIS_URL and DATABASE_URL",
        )


def _scripts() -> Finding:
    try:
        check_compatible()
    except IncompatibleScripts as error:
        return Finding(
            name="BullMQ's scripts", verdict=Verdict.BAD, detail=str(error), remedy="reinstall berrante's requirements"
        )
    return good("BullMQ's scripts", "those that this version was tested with")


async def _redis(engines: Engines) -> list[Finding]:
    async with Connection.from_url(engines.redis_url) as connection:
        try:
            await reach_redis(connection)
        except EngineUnreachable as error:
            remedy = "start Redis, or correct REDIS_URL"
            return [Finding(name="Redis", verdict=Verdict.BAD, detail=str(error), remedy=remedy)]
        about: dict[str, Any] = await connection.redis.info()
    is_valkey = "valkey_version" in about
    version = str(about["valkey_version"] if is_valkey else about["redis_version"])
    oldest = _OLDEST_VALKEY if is_valkey else _OLDEST_REDIS
    name = "Valkey" if is_valkey else "Redis"
    policy = str(about.get("maxmemory_policy", "unknown"))
    return [
        judged(
            name,
            f"{version}, {engines.redis_from}",
            fits=tuple(int(part) for part in version.split(".")[:2]) >= oldest,
            remedy=f"upgrade to {name} {oldest[0]} or newer",
        ),
        judged(
            "maxmemory-policy",
            policy,
            fits=policy == "noeviction",
            remedy="CONFIG SET maxmemory-policy noeviction: any other policy loses jobs",
        ),
        judged(
            "append-only file",
            "on" if about.get("aof_enabled") else "off",
            fits=bool(about.get("aof_enabled")),
            remedy="CONFIG SET appendonly yes: a restart loses jobs otherwise, until the reconciler adds them again",
            otherwise=Verdict.DOUBTFUL,
        ),
    ]


async def _database(engines: Engines) -> list[Finding]:
    database = Database(engines.database_url)
    try:
        await reach_database(database)
        async with database.begin() as connection:
            number = int((await connection.execute(text("SHOW server_version_num"))).scalar_one())
    except EngineUnreachable as error:
        remedy = "start PostgreSQL, or correct DATABASE_URL"
        return [Finding(name="PostgreSQL", verdict=Verdict.BAD, detail=str(error), remedy=remedy)]
    finally:
        await database.close()
    found, newest = await revision(engines.database_url), newest_revision()
    if found is None and engines.database_from == "embedded":
        tables = good("tables", f"none yet; made at the first start ({newest})")
    else:
        remedy = f"run berrante migrate (to {newest})"
        tables = judged("tables", f"revision {found}" if found else "none yet", fits=found == newest, remedy=remedy)
    guarded = [await _tenancy(engines)] if found == newest else []
    return [
        judged(
            "PostgreSQL",
            f"{number // 10_000}.{number % 10_000}, {engines.database_from}",
            fits=number >= _OLDEST_POSTGRES,
            remedy=f"upgrade to PostgreSQL {_OLDEST_POSTGRES // 10_000} or newer",
        ),
        tables,
        *guarded,
    ]


async def _tenancy(engines: Engines) -> Finding:
    """Look whether the web side can act as its role, and whether that role sees less than everything."""
    database = Database(engines.database_url)
    try:
        async with database.tenant(UUID(int=0)) as connection:
            role = str((await connection.execute(text("SELECT current_user"))).scalar_one())
        async with database.begin() as connection:
            unguarded = await unguarded_tables(connection)
    except SQLAlchemyError as error:
        remedy = "as an administrator, run GRANT berrante_web TO the login of DATABASE_URL"
        detail = str(error).partition("\n")[0]
        return Finding(name="row-level security", verdict=Verdict.BAD, detail=detail, remedy=remedy)
    finally:
        await database.close()
    return judged(
        "row-level security",
        f"not on {', '.join(unguarded)}" if unguarded else f"the web side acts as {role}",
        fits=not unguarded,
        remedy="run berrante migrate; tables of your own need enable_tenancy",
    )
