"""What PostgreSQL says of itself, and how busy this process's pool is."""

from sqlalchemy import text

from berrante.store import Database
from berrante.web.health.check import Report


async def database_report(database: Database) -> Report:
    """Report version, size, the tables' revision and the pool."""
    async with database.engine.connect() as connection:
        version = (await connection.execute(text("SHOW server_version"))).scalar_one()
        size = (await connection.execute(text("SELECT pg_database_size(current_database())"))).scalar_one()
        has_tables = (await connection.execute(text("SELECT to_regclass('alembic_version')"))).scalar_one()
        revision = None
        if has_tables is not None:
            revision = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one_or_none()
    return {
        "version": str(version).partition(" ")[0],
        "size_bytes": size,
        "revision": revision,
        "pool": database.pool()._asdict(),
    }
