"""The way to PostgreSQL: TLS with certificates that are checked."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from sqlalchemy import text

from berrante.store import Database, migrate, revision
from tests.connections.tls import Certificates, certificates, postgres_tls_before


@pytest.fixture
def made(tmp_path: Path) -> Certificates:
    return certificates(tmp_path / "tls")


@pytest_asyncio.fixture
async def tls_url(database_url: str, made: Certificates) -> AsyncIterator[str]:
    """The test's database behind a listener that accepts TLS alone."""
    at = urlsplit(database_url)
    query = parse_qs(at.query)
    socket = f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}"
    connect = lambda: asyncio.open_unix_connection(socket)  # noqa: E731
    async with postgres_tls_before(connect, made.server_context()) as port:
        yield f"postgresql://{at.username}@127.0.0.1:{port}{at.path}"


async def test_the_database_is_used_and_migrated_over_tls_with_a_checked_certificate(
    tls_url: str, made: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLROOTCERT", str(made.authority))
    url = f"{tls_url}?sslmode=verify-full"
    await migrate(url)
    assert await revision(url) is not None
    database = Database(url)
    async with database.begin() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
    await database.close()


async def test_an_authority_that_is_not_trusted_is_refused(
    tls_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLROOTCERT", str(certificates(tmp_path / "other").authority))
    database = Database(f"{tls_url}?sslmode=verify-full")
    with pytest.raises(OSError, match=r"CERTIFICATE_VERIFY_FAILED|certificate verify failed"):
        await database.ping()
    await database.close()


async def test_require_encrypts_without_checking_as_libpq_does(tls_url: str) -> None:
    database = Database(f"{tls_url}?sslmode=require")
    await database.ping()
    await database.close()
