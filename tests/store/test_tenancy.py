"""Row-level security: one organization's rows are all there is, and nothing of it outlives the transaction."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.embedded import EmbeddedPostgres
from berrante.messaging import tables
from berrante.messaging.api_keys.models import api_keys
from berrante.messaging.organizations.models import organizations
from berrante.store import Database, metadata, migrate, new_id, unguarded_tables
from tests.conftest import OwnServer


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, pool_size=1)
    yield database
    await database.close()


@pytest_asyncio.fixture
async def two(database: Database) -> tuple[UUID, UUID]:
    """Two organizations with a key each."""
    async with database.begin() as connection:
        return await _organization(connection, "A"), await _organization(connection, "B")


async def _organization(connection: AsyncConnection, name: str) -> UUID:
    organization_id = new_id()
    await connection.execute(insert(organizations).values(id=organization_id, name=name))
    await connection.execute(insert(api_keys).values(_key(organization_id)))
    return organization_id


def _key(organization_id: UUID) -> dict[str, Any]:
    return {
        "id": new_id(),
        "organization_id": organization_id,
        "name": "key",
        "prefix": "brt_live_",
        "sha256": secrets.token_hex(32),
    }


async def test_every_table_of_organizations_is_guarded(database: Database) -> None:
    async with database.begin() as connection:
        assert await unguarded_tables(connection) == []
        found = await connection.execute(text("SELECT count(*) FROM pg_policies WHERE policyname = 'tenant'"))
        assert found.scalar_one() == 1 + sum("organization_id" in metadata.tables[name].c for name in tables.__all__)


async def test_a_table_without_a_policy_is_found(database: Database) -> None:
    async with database.begin() as connection:
        await connection.execute(text("CREATE TABLE forgotten (organization_id uuid)"))
        await connection.execute(text("CREATE TABLE half (organization_id uuid)"))
        await connection.execute(text("ALTER TABLE half ENABLE ROW LEVEL SECURITY"))
        assert await unguarded_tables(connection) == ["forgotten", "half"]


async def test_a_tenant_sees_and_changes_its_own_rows_alone(database: Database, two: tuple[UUID, UUID]) -> None:
    a, b = two
    async with database.tenant(a) as connection:
        assert (await connection.execute(select(api_keys.c.organization_id))).scalars().all() == [a]
        assert (await connection.execute(select(organizations.c.id))).scalars().all() == [a]
        assert (await connection.execute(update(api_keys).values(name="mine"))).rowcount == 1
        of_b = delete(api_keys).where(api_keys.c.organization_id == b)
        assert (await connection.execute(of_b)).rowcount == 0
    async with database.begin() as connection:
        names = await connection.execute(select(api_keys.c.organization_id, api_keys.c.name))
        assert {row.organization_id: row.name for row in names} == {a: "mine", b: "key"}


async def test_a_row_for_another_organization_is_refused(database: Database, two: tuple[UUID, UUID]) -> None:
    a, b = two
    for statement in (
        insert(api_keys).values(_key(b)),
        update(api_keys).values(organization_id=b),
    ):
        with pytest.raises(ProgrammingError, match="row-level security"):
            async with database.tenant(a) as connection:
                await connection.execute(statement)


async def test_what_a_tenant_may_not_do_at_all(database: Database, two: tuple[UUID, UUID]) -> None:
    for statement in (
        "INSERT INTO organizations (id, name) VALUES (gen_random_uuid(), 'X')",
        "DELETE FROM organizations",
        "SELECT * FROM alembic_version",
        "CREATE TABLE mine (id int)",
    ):
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with database.tenant(two[0]) as connection:
                await connection.execute(text(statement))


async def test_nothing_of_it_outlives_the_transaction(database: Database, two: tuple[UUID, UUID]) -> None:
    """The pool holds one connection, so that the next transaction has the same session, as behind a pooler."""
    a, _ = two
    everything = select(func.count()).select_from(api_keys)
    async with database.tenant(a) as connection:
        assert (await connection.execute(everything)).scalar_one() == 1
    with pytest.raises(ZeroDivisionError):
        async with database.tenant(a) as connection:
            raise ZeroDivisionError
    async with database.begin() as connection:
        assert (await connection.execute(everything)).scalar_one() == 2
        # The role without an organization sees nothing, and is not an error.
        await connection.execute(text("SET LOCAL ROLE berrante_web"))
        assert (await connection.execute(everything)).scalar_one() == 0


async def test_tenants_at_once_do_not_meet(database_url: str, two: tuple[UUID, UUID]) -> None:
    database = Database(database_url, pool_size=3)

    async def seen(organization_id: UUID) -> set[UUID]:
        async with database.tenant(organization_id) as connection:
            return set((await connection.execute(select(api_keys.c.organization_id))).scalars())

    wanted = [two[number % 2] for number in range(40)]
    assert await asyncio.gather(*map(seen, wanted)) == [{organization_id} for organization_id in wanted]
    await database.close()


async def test_a_login_that_owns_the_database_and_is_nothing_more_is_enough(postgres: EmbeddedPostgres) -> None:
    """Hosts hand out such logins: no superuser, but allowed to make roles, or with the role made for them."""
    server = await asyncpg.connect(postgres.url.replace("+asyncpg", ""))
    for rights in ("CREATEROLE", "NOCREATEROLE"):
        login = f"plain_{secrets.token_hex(6)}"
        await server.execute(f"CREATE ROLE {login} LOGIN NOSUPERUSER NOBYPASSRLS {rights}")
        # Another test's database has made the role by now, or this is what an administrator runs.
        await server.execute(
            "DO $$ BEGIN CREATE ROLE berrante_web NOLOGIN; EXCEPTION WHEN duplicate_object THEN END $$"
        )
        await server.execute(f"GRANT berrante_web TO {login}")
        await server.execute(f"CREATE DATABASE {login} OWNER {login}")
        url = postgres.url_of(login).replace("//berrante@", f"//{login}@")
        await migrate(url)
        database = Database(url)
        async with database.begin() as connection:
            a, b = await _organization(connection, "A"), await _organization(connection, "B")
            assert (await connection.execute(select(func.count()).select_from(api_keys))).scalar_one() == 2
        for organization_id in (a, b):
            async with database.tenant(organization_id) as connection:
                seen = await connection.execute(select(api_keys.c.organization_id))
                assert seen.scalars().all() == [organization_id]
        await database.close()
        await server.execute(f"DROP DATABASE {login} WITH (FORCE)")
        await server.execute(f"DROP ROLE {login}")
    await server.close()


async def test_the_role_is_made_where_it_is_missing_and_else_the_remedy_is_named(own_postgres: OwnServer) -> None:
    server = await asyncpg.connect(own_postgres.url.replace("+asyncpg", ""))
    for login, rights in (("maker", "CREATEROLE"), ("nobody", "NOCREATEROLE")):
        await server.execute(f"CREATE ROLE {login} LOGIN {rights}")
        await server.execute(f"CREATE DATABASE {login} OWNER {login}")
    url = own_postgres.url.replace("//berrante@", "//{login}@").replace("/berrante?", "/{login}?")

    with pytest.raises(DBAPIError, match="the login nobody may not create role berrante_web"):
        await migrate(url.format(login="nobody"))
    await migrate(url.format(login="maker"))
    with pytest.raises(DBAPIError, match="the login nobody may not act as role berrante_web"):
        await migrate(url.format(login="nobody"))

    database = Database(url.format(login="maker"))
    async with database.begin() as connection:
        a = await _organization(connection, "A")
        await _organization(connection, "B")
    async with database.tenant(a) as connection:
        assert (await connection.execute(select(api_keys.c.organization_id))).scalars().all() == [a]
    await database.close()
    await server.close()
