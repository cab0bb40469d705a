"""The database: addresses as hosts hand them out, transactions, and a server that goes away and returns."""

import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection
from sqlalchemy.exc import DBAPIError

from berrante.store import Database, idle_connections
from berrante.store.database import asyncpg_url
from tests.conftest import OwnServer
from tests.waiting import until


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_every_spelling_of_postgresql_is_understood(scheme: str) -> None:
    assert str(asyncpg_url(f"{scheme}://db.example/app")) == "postgresql+asyncpg://db.example/app"


def test_another_database_is_refused_without_showing_the_password() -> None:
    with pytest.raises(ValueError, match="postgresql://") as caught:
        asyncpg_url("mysql://user:secret@db.example/app")
    assert "secret" not in str(caught.value)


async def test_a_transaction_that_raises_leaves_nothing(database_url: str) -> None:
    database = Database(database_url)

    async def fail_within() -> None:
        async with database.begin() as connection:
            await connection.execute(text("CREATE TABLE left_over (id int)"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_within()
    async with database.begin() as connection:
        assert (await connection.execute(text("SELECT to_regclass('left_over')"))).scalar_one() is None
    await database.close()


async def test_a_database_that_was_killed_and_returns_is_used_again(own_postgres: OwnServer) -> None:
    database = Database(own_postgres.url)
    await database.ping()
    await own_postgres.kill()
    with pytest.raises((OSError, DBAPIError)):
        await database.ping()
    await own_postgres.start()

    async def answers() -> bool:
        await database.ping()
        return True

    assert await until(answers)
    await database.close()


async def _backend(database: Database) -> int:
    async with database.begin() as connection:
        return int((await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())


async def test_a_connection_that_was_closed_while_it_was_idle_is_replaced_unseen(database_url: str) -> None:
    database, other = Database(database_url, pool_size=1), Database(database_url)
    before = await _backend(database)
    async with other.begin() as connection:
        await connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": before})

    async def is_gone() -> bool:
        async with other.begin() as connection:
            left = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
            return (await connection.execute(left, {"pid": before})).scalar_one() == 0

    assert await until(is_gone)
    assert await _backend(database) != before
    await database.close()
    await other.close()


async def test_a_connection_that_does_not_answer_after_some_idleness_is_replaced_unseen(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(database_url, pool_size=1)
    before = await _backend(database)
    assert await _backend(database) == before  # used again without a question

    def silent(_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(idle_connections, "_TRUSTED_S", 0.0)
    monkeypatch.setattr(AsyncAdapt_asyncpg_connection, "ping", silent)
    assert await _backend(database) != before
    await database.close()


async def test_a_glance_is_no_transaction_and_leaves_the_connection_as_it_was(database_url: str) -> None:
    database = Database(database_url, pool_size=1)
    which = text("SELECT pg_backend_pid(), txid_current()")
    async with database.glance(because="a test looks") as connection:
        first, second = (await connection.execute(which)).one(), (await connection.execute(which)).one()
    async with database.begin() as connection:
        third, fourth = (await connection.execute(which)).one(), (await connection.execute(which)).one()

    assert first.pg_backend_pid == third.pg_backend_pid
    assert first.txid_current != second.txid_current
    assert third == fourth
    await database.close()
