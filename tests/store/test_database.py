"""The database: addresses as hosts hand them out, transactions, and a server that goes away and returns."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from berrante.store import Database
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
