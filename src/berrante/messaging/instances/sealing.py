"""Seals what was stored plainly before there was a key, or with a key of the days before."""

from typing import Any, Final

from sqlalchemy import Column, Table, Text, select, type_coerce, update

from berrante.messaging.cloud_numbers.models import cloud_numbers
from berrante.messaging.instances.models import instances
from berrante.store import Database

_SECRETS: Final[tuple[tuple[Table, Column[Any], Column[Any]], ...]] = (
    (instances, instances.c.id, instances.c.app_secret),
    (cloud_numbers, cloud_numbers.c.instance_id, cloud_numbers.c.access_token),
)


async def seal_all(database: Database) -> int:
    """Seal with the current key whatever is not, and return how many; safe in many processes at once.

    Raises ``KeyMissing`` if something was sealed with a key that is not configured any more.
    """
    if database.cipher is None:
        return 0
    sealed = 0
    for table, key, column in _SECRETS:
        stored = type_coerce(column, Text)
        query = select(key.label("key"), table.c.organization_id, stored.label("stored"), column.label("secret")).where(
            column.is_not(None), stored.not_like(f"enc:1:{database.cipher.current}:%")
        )
        async with database.begin() as connection:
            for row in (await connection.execute(query)).all():
                # Only if it is still what was read: somebody may have set a new one meanwhile.
                mine = (key == row.key, table.c.organization_id == row.organization_id, stored == row.stored)
                done = await connection.execute(update(table).where(*mine).values({column.name: row.secret}))
                sealed += done.rowcount
    return sealed
