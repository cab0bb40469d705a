"""Seals what was stored plainly before there was a key, or with a key of the days before."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, Table, Text, select, type_coerce, update

from berrante.messaging.cloud_numbers.models import cloud_numbers
from berrante.messaging.endpoints.models import webhook_endpoints
from berrante.messaging.instances.models import instances
from berrante.store import Database, EncryptionError, Sealed
from berrante.store.encryption import is_sealed

_SECRETS: Final[tuple[tuple[Table, Column[Any], Column[Any]], ...]] = (
    (instances, instances.c.id, instances.c.app_secret),
    (cloud_numbers, cloud_numbers.c.instance_id, cloud_numbers.c.access_token),
    (webhook_endpoints, webhook_endpoints.c.id, webhook_endpoints.c.secret),
    (webhook_endpoints, webhook_endpoints.c.id, webhook_endpoints.c.previous_secret),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealing:
    """How many secrets were sealed now, and how many are there that no configured key opens."""

    sealed: int = 0
    unreadable: int = 0


async def seal_all(database: Database) -> Sealing:
    """Seal with the current key whatever is not; safe in many processes at once.

    What cannot be read stays as it is: one organization's broken secret is not to keep the others from working.
    """
    cipher = database.cipher
    if cipher is None:
        return Sealing()
    sealed = unreadable = 0
    for table, key, column in _SECRETS:
        stored = type_coerce(column, Text)
        query = select(key.label("key"), table.c.organization_id, stored.label("stored")).where(
            column.is_not(None), stored.not_like(f"enc:1:{cipher.current}:%")
        )
        assert isinstance(column.type, Sealed)
        context = column.type.context
        async with database.begin() as connection:
            for row in (await connection.execute(query)).all():
                try:
                    secret = cipher.open(row.stored, context) if is_sealed(row.stored) else row.stored
                except EncryptionError:
                    unreadable += 1
                    continue
                # Only if it is still what was read: somebody may have set a new one meanwhile.
                mine = (key == row.key, table.c.organization_id == row.organization_id, stored == row.stored)
                done = await connection.execute(update(table).where(*mine).values({column.name: secret}))
                sealed += done.rowcount
    return Sealing(sealed=sealed, unreadable=unreadable)
