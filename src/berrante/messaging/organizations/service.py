"""Organizations: the tenants."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging import audit
from berrante.messaging.audit import Actor
from berrante.messaging.errors import Missing
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

    async def create(self, name: str, *, actor: Actor = audit.COMMAND) -> Organization:
        """Make an organization; names need not differ. Raises ``Invalid``."""
        row = {"id": new_id(), "name": named(name)}
        async with self._database.platform(because="organizations are made by the platform") as connection:
            found = await connection.execute(insert(organizations).values(row).returning(organizations))
            made = Organization(**found.one()._mapping)
            await _record(connection, "created", None, made, actor)
        return made

    async def rename(self, organization_id: UUID, name: str, *, actor: Actor) -> Organization:
        """Give an organization another name. Raises ``Missing`` and ``Invalid``."""
        mine = organizations.c.id == organization_id
        async with self._database.platform(because="organizations are named by the platform") as connection:
            found = await connection.execute(select(organizations).where(mine).with_for_update())
            row = found.one_or_none()
            if row is None:
                raise Missing("organization", organization_id)
            renamed = update(organizations).where(mine).values(name=named(name)).returning(organizations)
            after = Organization(**(await connection.execute(renamed)).one()._mapping)
            await _record(connection, "updated", Organization(**row._mapping), after, actor)
        return after

    async def page(self, limit: int, after: UUID | None = None) -> list[Organization]:
        """Return up to ``limit`` organizations, newest first, those that follow ``after``; for the owner alone."""
        query = select(organizations).order_by(organizations.c.id.desc()).limit(limit)
        if after is not None:
            query = query.where(organizations.c.id < after)
        async with self._database.platform(because="the platform lists its organizations") as connection:
            return [Organization(**row._mapping) for row in await connection.execute(query)]

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


async def _record(
    connection: AsyncConnection, verb: str, before: Organization | None, after: Organization, actor: Actor
) -> None:
    await audit.record(
        connection,
        organization_id=after.id,
        actor=actor,
        action=f"organization.{verb}",
        subject=("organization", after.id),
        before=None if before is None else {"name": before.name},
        after={"name": after.name},
    )
