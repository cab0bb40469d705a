"""Migrations: they make exactly the tables that the code speaks of, once, and can be taken back."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from berrante.app.reaching import newest_revision
from berrante.embedded import EmbeddedPostgres
from berrante.messaging import tables
from berrante.messaging.campaigns.content import Content
from berrante.messaging.people import WORK_SCOPES
from berrante.store import Database, downgrade, metadata, migrate, revision


@pytest_asyncio.fixture
async def empty_url(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """A database without tables."""
    name = f"t{secrets.token_hex(6)}"
    await _administer(postgres, f"CREATE DATABASE {name}")
    yield postgres.url_of(name)
    await _administer(postgres, f"DROP DATABASE {name} WITH (FORCE)")


async def _administer(postgres: EmbeddedPostgres, statement: str) -> None:
    connection = await asyncpg.connect(postgres.url.replace("+asyncpg", ""))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _catalogue(url: str) -> list[tuple[Any, ...]]:
    """Everything that PostgreSQL knows of our tables: columns, defaults, constraints, indexes."""
    query = text("""
        SELECT 'column', c.relname, a.attname, format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull::text,
               coalesce(pg_get_expr(d.adbin, d.adrelid), '')
          FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
          LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), ''
          FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL
        SELECT 'index', tablename, indexname, indexdef, '' FROM pg_indexes WHERE schemaname = 'public'
         ORDER BY 1, 2, 3
    """)
    database = Database(url)
    async with database.begin() as connection:
        rows = [tuple(row) for row in await connection.execute(query)]
    await database.close()
    return [row for row in rows if row[1] != "alembic_version"]


async def test_the_migrated_tables_are_those_of_the_code(database_url: str) -> None:
    database = Database(database_url)
    async with database.engine.connect() as connection:
        difference = await connection.run_sync(
            lambda sync_connection: compare_metadata(
                MigrationContext.configure(sync_connection, opts={"compare_server_default": True}), metadata
            )
        )
    await database.close()

    assert difference == []
    assert set(metadata.tables) == set(tables.__all__)


async def test_migrated_and_made_from_the_code_are_the_same_to_postgresql(database_url: str, empty_url: str) -> None:
    database = Database(empty_url)
    async with database.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await database.close()

    assert await _catalogue(database_url) == await _catalogue(empty_url)


async def test_migrating_from_several_places_at_once_is_safe(empty_url: str) -> None:
    assert await revision(empty_url) is None

    await asyncio.gather(*(migrate(empty_url) for _ in range(4)))
    await migrate(empty_url)

    assert await revision(empty_url) == newest_revision()
    assert {row[1] for row in await _catalogue(empty_url)} == set(metadata.tables)


async def test_a_migration_can_be_taken_back_and_done_again(empty_url: str) -> None:
    await migrate(empty_url)
    before = await _catalogue(empty_url)

    await downgrade(empty_url, "base")
    assert await _catalogue(empty_url) == []
    assert await revision(empty_url) is None

    await migrate(empty_url)
    assert await _catalogue(empty_url) == before


async def test_members_become_agents_and_keys_keep_what_they_could_do(empty_url: str) -> None:
    await migrate(empty_url)
    await downgrade(empty_url, "0002")
    database = Database(empty_url)
    async with database.begin() as connection:
        for statement in (
            "INSERT INTO organizations (id, name) VALUES (gen_random_uuid(), 'Acme')",
            "INSERT INTO people SELECT gen_random_uuid(), id, 'ana@example.com', '-', 'member' FROM organizations",
            "INSERT INTO api_keys SELECT gen_random_uuid(), id, 'CI', 'brt_live_', '-' FROM organizations",
        ):
            await connection.execute(text(statement))
    await migrate(empty_url)

    async with database.begin() as connection:
        assert (await connection.execute(text("SELECT role FROM people"))).scalars().all() == ["agent"]
        (scopes,) = (await connection.execute(text("SELECT scopes FROM api_keys"))).scalars()
        assert frozenset(scopes) == WORK_SCOPES
    await downgrade(empty_url, "0002")
    async with database.begin() as connection:
        assert (await connection.execute(text("SELECT role FROM people"))).scalars().all() == ["member"]
    await database.close()


async def test_contents_of_drafts_are_rewritten_and_can_be_read(empty_url: str) -> None:
    await migrate(empty_url)
    await downgrade(empty_url, "0011")
    old = [
        {"type": "image", "name": "A", "weight": 1, "url": "https://shop.example/a.jpg", "caption": "Oi"},
        {"type": "template", "name": "B", "weight": 1, "template": "promo", "language": "pt_BR",
         "header": ["Oi"], "body": ["{{ name }}", "5"], "buttons": ["x"]},
        {"type": "text", "name": "C", "weight": 1, "text": "Oi"},
    ]  # fmt: skip
    database = Database(empty_url)
    async with database.begin() as connection:
        await connection.execute(text("INSERT INTO organizations (id, name) VALUES (gen_random_uuid(), 'Acme')"))
        await connection.execute(
            text("INSERT INTO instances (id, organization_id, gateway) SELECT 'sales', id, 'cloud' FROM organizations")
        )
        await connection.execute(
            text(
                "INSERT INTO campaigns (id, organization_id, instance_id, name, content, audience, pace, status)"
                " SELECT gen_random_uuid(), id, 'sales', 'X', CAST(:content AS jsonb), '{}', '{}', 'draft'"
                " FROM organizations"
            ),
            {"content": json.dumps({"variants": old})},
        )
    await migrate(empty_url)
    async with database.begin() as connection:
        stored = (await connection.execute(text("SELECT content FROM campaigns"))).scalar_one()
    await database.close()
    file, template, plain = Content.read(stored).stored()["variants"]
    assert (file["type"], file["kind"], file["url"]) == ("media", "image", "https://shop.example/a.jpg")
    assert (template["variables"], template["header_text"]) == ({"1": "{{ name }}", "2": "5"}, "Oi")
    assert template["buttons"] == [{"index": 0, "kind": "url", "value": "x"}]
    assert plain == old[2]
    await downgrade(empty_url, "0011")
    await migrate(empty_url)


async def test_owners_of_organizations_become_admins_when_it_is_taken_back(empty_url: str) -> None:
    await migrate(empty_url)
    database = Database(empty_url)
    async with database.begin() as connection:
        for statement in (
            "INSERT INTO organizations (id, name) VALUES (gen_random_uuid(), 'Acme')",
            "INSERT INTO people SELECT gen_random_uuid(), id, 'ana@example.com', '-', 'owner' FROM organizations",
            "INSERT INTO people VALUES (gen_random_uuid(), NULL, 'root@example.com', '-', 'owner')",
        ):
            await connection.execute(text(statement))
    with pytest.raises(IntegrityError, match="only_owners_have_no_organization"):
        async with database.begin() as connection:
            await connection.execute(
                text("INSERT INTO people VALUES (gen_random_uuid(), NULL, 'eve@example.com', '-', 'admin')")
            )
    await downgrade(empty_url, "0013")
    async with database.begin() as connection:
        roles = await connection.execute(text("SELECT role FROM people ORDER BY email"))
        assert roles.scalars().all() == ["admin", "owner"]
    await database.close()


async def test_files_of_messages_that_are_there_are_to_be_looked_up_and_a_new_database_has_none(empty_url: str) -> None:
    await migrate(empty_url)
    database = Database(empty_url)

    async def awaited() -> int:
        async with database.begin() as connection:
            return int((await connection.execute(text("SELECT count(*) FROM media_backfill"))).scalar_one())

    assert await awaited() == 0
    await downgrade(empty_url, "0015")
    async with database.begin() as connection:
        for statement in (
            "INSERT INTO organizations (id, name) VALUES (gen_random_uuid(), 'Acme')",
            "INSERT INTO instances (id, organization_id, gateway) SELECT 'sales', id, 'cloud' FROM organizations",
            (
                "INSERT INTO campaigns (id, organization_id, instance_id, name, content, audience, pace, status)"
                " SELECT gen_random_uuid(), id, 'sales', 'X', '{}', '{}', '{}', 'draft' FROM organizations"
            ),
        ):
            await connection.execute(text(statement))
    await migrate(empty_url)
    assert await awaited() == 1
    await database.close()
