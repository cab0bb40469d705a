"""Real servers for tests: one Valkey and one PostgreSQL for each worker of a session, or a test's very own."""

import secrets
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest
import pytest_asyncio

from berrante.embedded import EmbeddedPostgres, EmbeddedValkey
from berrante.engine import Connection
from tests.waiting import until

_TEMPLATE = "berrante_template"
#: Data of a test session needs to survive nothing.
_CARELESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}


class OwnServer:
    """A server that belongs to one test, which may do with it what a bad day does."""

    def __init__(self, server: EmbeddedValkey | EmbeddedPostgres) -> None:
        self.server = server

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def pid(self) -> int:
        return self.server.pid

    async def start(self) -> None:
        """Start again on the same data (and, Valkey, the same port)."""
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()

    async def kill(self) -> None:
        """SIGKILL, and wait until the kernel has ended it."""
        process = self._process()
        process.kill()
        await until(lambda: _is_over(process))

    def pause(self) -> None:
        """Freeze the server: connections stay open and nothing answers."""
        self._process().send_signal(signal.SIGSTOP)

    def cont(self) -> None:
        self._process().send_signal(signal.SIGCONT)

    async def end(self) -> None:
        """End it whatever the test did to it."""
        try:
            self.cont()
        except (psutil.NoSuchProcess, RuntimeError):
            return
        await self.server.stop()

    def _process(self) -> psutil.Process:
        return psutil.Process(self.server.pid)


def _is_over(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it went between the two questions
        return True


@pytest.fixture(scope="session")
def server_root() -> Iterator[Path]:
    """A folder with a short path (a socket's is limited) that PostgreSQL's user may pass through if we are root."""
    root = Path(tempfile.mkdtemp(prefix="b-"))
    root.chmod(0o711)
    yield root
    shutil.rmtree(root)


@pytest.fixture
def server_folder(server_root: Path) -> Path:
    """A fresh folder for one test's servers, ended by the test itself."""
    folder = server_root / secrets.token_hex(4)
    folder.mkdir()
    folder.chmod(0o711)
    return folder


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def redis_url(server_root: Path) -> AsyncIterator[str]:
    async with EmbeddedValkey(server_root / "valkey") as valkey:
        yield valkey.url


@pytest.fixture
def prefix() -> str:
    """A key prefix of this test's own."""
    return f"t{secrets.token_hex(6)}"


@pytest_asyncio.fixture
async def connection(redis_url: str) -> AsyncIterator[Connection]:
    async with Connection.from_url(redis_url) as connection:
        yield connection


@pytest_asyncio.fixture
async def own_valkey(server_folder: Path) -> AsyncIterator[OwnServer]:
    own = OwnServer(EmbeddedValkey(server_folder / "valkey"))
    await own.start()
    yield own
    await own.end()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres(server_root: Path) -> AsyncIterator[EmbeddedPostgres]:
    async with EmbeddedPostgres(server_root / "postgres", settings=_CARELESS) as postgres:
        yield postgres


@pytest_asyncio.fixture
async def own_postgres(server_folder: Path) -> AsyncIterator[OwnServer]:
    own = OwnServer(EmbeddedPostgres(server_folder / "postgres"))
    await own.start()
    yield own
    await own.end()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def migrated_template(postgres: EmbeddedPostgres) -> str:
    from berrante.store import migrate  # noqa: PLC0415  tests without tables need no store

    await _administer(postgres, f"CREATE DATABASE {_TEMPLATE}")
    await migrate(postgres.url_of(_TEMPLATE))
    return _TEMPLATE


@asynccontextmanager
async def fresh_database(postgres: EmbeddedPostgres, template: str) -> AsyncIterator[str]:
    """Make a database from a template for the time of the block."""
    name = f"t{secrets.token_hex(6)}"
    await _administer(postgres, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield postgres.url_of(name)
    await _administer(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest_asyncio.fixture
async def database_url(postgres: EmbeddedPostgres, migrated_template: str) -> AsyncIterator[str]:
    """A database of this test's own with all tables, empty."""
    async with fresh_database(postgres, migrated_template) as url:
        yield url


async def _administer(postgres: EmbeddedPostgres, statement: str) -> None:
    connection = await asyncpg.connect(postgres.url.replace("+asyncpg", ""))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
