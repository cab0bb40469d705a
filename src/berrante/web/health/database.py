"""What PostgreSQL says of itself, and how busy this process's pool is."""

from berrante.store import Database
from berrante.web.health.check import Report


async def database_report(database: Database) -> Report:
    """Report version, size, the tables' revision and the pool."""
    return {**(await database.about())._asdict(), "pool": database.pool()._asdict()}
