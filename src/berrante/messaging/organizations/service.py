"""Organizations: the tenants."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select

from berrante.messaging.fields import named, storable
from berrante.messaging.organizations.models import organizations
from berrante.store import Database, new_id


@dataclass(frozen=True, kw_only=True, slots=True)
class Organization:
    """One tenant."""

    id: UUID
    name: str
    created_at: datetime


class Organizations:
    """Makes and finds organizations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, name: str) -> Organization:
        """Make an organization; names need not differ. Raises ``Invalid``."""
        row = {"id": new_id(), "name": named(name)}
        async with self._database.platform(because="organizations are made by the platform") as connection:
            made = await connection.execute(insert(organizations).values(row).returning(organizations))
            return Organization(**made.one()._mapping)

    async def get(self, organization_id: UUID) -> Organization | None:
        """Return an organization, or None."""
        async with self._database.tenant(organization_id) as connection:
            found = await connection.execute(select(organizations).where(organizations.c.id == organization_id))
            row = found.one_or_none()
        return Organization(**row._mapping) if row else None

    async def find(self, name: str) -> Organization | None:
        """Return the oldest organization of that name, or None."""
        query = (
            select(organizations).where(organizations.c.name == storable(name)).order_by(organizations.c.id).limit(1)
        )
        async with self._database.platform(because="names are looked up by the platform") as connection:
            row = (await connection.execute(query)).one_or_none()
        return Organization(**row._mapping) if row else None

    async def list(self) -> list[Organization]:
        """Return all organizations, the oldest first; for the platform's owner alone."""
        async with self._database.platform(because="the platform lists its organizations") as connection:
            found = await connection.execute(select(organizations).order_by(organizations.c.id))
            return [Organization(**row._mapping) for row in found]
