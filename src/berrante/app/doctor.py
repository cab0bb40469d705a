"""Looks at everything that the service stands on, and says what to do about what is not well."""

import enum
import platform
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from redis.exceptions import ResponseError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from berrante.app.engines import Engines, open_engines
from berrante.app.errors import EngineUnreachable
from berrante.app.media import media_store
from berrante.app.reaching import newest_revision, reach_database, reach_redis
from berrante.embedded import EmbeddedError
from berrante.engine import Connection, IncompatibleScripts
from berrante.engine.policy.server_fitness import Flaw, Weight, flaws, server_of
from berrante.engine.wire.scripts import check_compatible
from berrante.gateways.media import MediaStoreUnavailable
from berrante.settings import Settings, unknown_variables
from berrante.store import Database, revision, unguarded_tables

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
    for finding in examine_process():
        yield finding
    yield await examine_media(settings)
    try:
        async with open_engines(settings) as engines:
            for finding in await examine_engines(engines):
                yield finding
    except EmbeddedError as error:
        yield Finding(
            name="embedded engines",
            verdict=Verdict.BAD,
            detail=str(error),
            remedy="or set REDIS_URL and DATABASE_URL",
        )


def examine_process() -> Iterator[Finding]:
    """Yield what can be said without any engine."""
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


async def examine_media(settings: Settings) -> Finding:
    """Say whether files can be kept."""
    store = media_store(settings)
    try:
        return good("media store", await store.check())
    except MediaStoreUnavailable as error:
        return Finding(name="media store", verdict=Verdict.BAD, detail=error.problem, remedy=error.remedy)
    finally:
        await store.close()


async def examine_engines(engines: Engines) -> list[Finding]:
    """Return what is to be said of engines that run."""
    return [*await _redis(engines), *await _database(engines)]


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
        try:
            server = server_of(await connection.redis.info())
        except ResponseError as error:
            remedy = "give its user +info, or look at its version and maxmemory-policy yourself"
            return [Finding(name="Redis", verdict=Verdict.DOUBTFUL, detail=str(error), remedy=remedy)]
    found = {flaw.code: flaw for flaw in flaws(server)}
    looked_at = {
        "version": (server.kind, f"{server.version}, {engines.redis_from}"),
        "eviction_policy": ("maxmemory-policy", server.policy or "not told"),
        "append_file": ("append-only file", _on_or_off(server.has_append_file)),
        "persistence": ("writes to disk", "the last ones succeeded" if server.writes_well else "the last one failed"),
        "memory": ("memory", f"{(server.used_bytes or 0) // 1_000_000} MB used"),
        "replica": ("role", server.role or "not told"),
        "evicted": ("thrown away", f"{server.evicted} keys"),
    }
    return [
        _finding(name, detail, found.get(code))
        for code, (name, detail) in looked_at.items()
        if code in found or code not in {"replica", "evicted"}
    ]


def _on_or_off(value: bool | None) -> str:
    return "not told" if value is None else "on" if value else "off"


def _finding(name: str, detail: str, flaw: Flaw | None) -> Finding:
    if flaw is None:
        return good(name, detail)
    verdict = Verdict.BAD if flaw.weight is Weight.REFUSED else Verdict.DOUBTFUL
    return Finding(name=name, verdict=verdict, detail=detail, remedy=flaw.remedy)


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
