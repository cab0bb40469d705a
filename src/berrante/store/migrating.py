"""Brings a database to the newest tables, with Alembic."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, func, select
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from berrante.store.database import asyncpg_url

#: Any constant of our own: whoever migrates this database holds this lock ("berrante" in ASCII).
_LOCK: Final = 0x62657272616E7465


async def migrate(url: str) -> None:
    """Upgrade the database to the newest tables, all in one transaction.

    Safe to call from many processes at once: one migrates, the others wait and find nothing left to do.
    """
    await _guarded(url, lambda config: command.upgrade(config, "head"))


async def downgrade(url: str, to: str) -> None:
    """Take the database back to an older revision; ``base`` removes every table with its rows."""
    await _guarded(url, lambda config: command.downgrade(config, to))


async def revision(url: str) -> str | None:
    """Return the revision that the database is at, or None before its first migration."""
    engine = create_async_engine(asyncpg_url(url), poolclass=NullPool)
    async with engine.connect() as connection:
        return await connection.run_sync(
            lambda sync_connection: MigrationContext.configure(sync_connection).get_current_revision()
        )


async def _guarded(url: str, run: Callable[[Config], None]) -> None:
    engine = create_async_engine(asyncpg_url(url), poolclass=NullPool)
    async with engine.begin() as connection:
        # Held by the transaction, not the session: it also holds behind a pooler, and ends however we end.
        await connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        await connection.run_sync(lambda sync_connection: run(_config(sync_connection)))


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
