"""The way to one PostgreSQL database, shared by all services of a process."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg
from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from berrante.store.encryption import Cipher
from berrante.store.idle_connections import watch_idle
from berrante.store.sealed import use_cipher
from berrante.store.tenancy import SETTING, WEB_ROLE

_DRIVER: Final = "postgresql+asyncpg"
_SPELLINGS: Final = frozenset({"postgres", "postgresql", _DRIVER})
# Both end with the transaction, so a pooler may hand the connection to anyone afterwards.
_ENTER: Final = text(f"SELECT set_config('role', '{WEB_ROLE}', true), set_config('{SETTING}', :organization_id, true)")


def asyncpg_url(url: str) -> URL:
    """Read a database URL as hosts hand it out, and aim it at asyncpg.

    Raises ``ValueError`` for a URL of another database; the message holds no password.

    >>> asyncpg_url("postgres://user:secret@db.example/app?sslmode=require").render_as_string(hide_password=True)
    'postgresql+asyncpg://user:***@db.example/app?ssl=require'
    """
    parsed = make_url(url)
    if parsed.drivername not in _SPELLINGS:
        raise ValueError(f"DATABASE_URL begins with {parsed.drivername!r}: give postgresql://…")
    parsed = parsed.set(drivername=_DRIVER)
    if "sslmode" in parsed.query:  # libpq's word; asyncpg's is ssl, with the same values
        query = {("ssl" if name == "sslmode" else name): value for name, value in parsed.query.items()}
        parsed = parsed.set(query=query)
    return parsed


async def _connected(*arguments: Any, **named: Any) -> asyncpg.Connection:  # noqa: ANN401  as asyncpg's
    """Connect; a Unix socket that is not there, while its server starts again, is a server that is away."""
    try:
        return await asyncpg.connect(*arguments, **named)
    except FileNotFoundError as error:
        raise ConnectionRefusedError(f"no server listens on the socket: {error}") from error


class PoolUse(NamedTuple):
    """A pool's connections: kept open at most, in use, idle, and in use beyond those that are kept."""

    size: int
    in_use: int
    idle: int
    overflow: int


class About(NamedTuple):
    """What a database says of itself; ``revision`` is that of its tables, None before the first migration."""

    version: str
    size_bytes: int
    revision: str | None


class Database:
    """A pool of connections to PostgreSQL; making one does no I/O.

    A connection that was lost while it was idle is replaced unseen, so a database that restarts is survived: one that
    knows that it is closed at once, and one that was idle for seconds is asked before it is used. ``cipher`` seals and
    opens the secrets of ``Sealed`` columns.

    Example::

        async with database.begin() as connection:
            await connection.execute(select(organizations))
    """

    def __init__(
        self, url: str, *, pool_size: int = 10, connect_timeout_s: float = 10.0, cipher: Cipher | None = None
    ) -> None:
        self.engine: AsyncEngine = create_async_engine(
            asyncpg_url(url),
            pool_size=pool_size,
            max_overflow=pool_size,
            hide_parameters=True,  # an error must not carry message texts into logs and dead letters
            connect_args={
                "timeout": connect_timeout_s,
                "server_settings": {"application_name": "berrante"},
                "async_creator_fn": _connected,
            },
        )
        watch_idle(self.engine)
        self._at_once = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self.cipher = cipher
        if cipher is not None:
            use_cipher(self.engine, cipher)

    def begin(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a transaction that sees all organizations: committed at the end of the block, rolled back if it raises.

        For workers and commands. What the web side reaches uses ``tenant``, or says in ``platform`` why not.
        """
        return self.engine.begin()

    @asynccontextmanager
    async def tenant(self, organization_id: UUID) -> AsyncIterator[AsyncConnection]:
        """Open a transaction in which one organization's rows are all there is, whatever the queries ask for.

        A row of another organization is not found, and one written for another is refused by PostgreSQL.
        """
        async with self.engine.begin() as connection:
            await connection.execute(_ENTER, {"organization_id": str(organization_id)})
            yield connection

    def platform(self, *, because: str) -> AbstractAsyncContextManager[AsyncConnection]:  # noqa: ARG002  for readers
        """Open a transaction that sees all organizations, on the web side: ``because`` says why it must."""
        return self.engine.begin()

    def glance(self, *, because: str) -> AbstractAsyncContextManager[AsyncConnection]:  # noqa: ARG002  for readers
        """Do the same for a single read, without a transaction: one exchange with the server, not three."""
        return self._at_once.connect()

    async def ping(self) -> None:
        """Raise unless the database answers."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def about(self) -> About:
        """Ask the database about itself."""
        async with self.engine.connect() as connection:
            version = (await connection.execute(text("SHOW server_version"))).scalar_one()
            size = (await connection.execute(text("SELECT pg_database_size(current_database())"))).scalar_one()
            revision = None
            if (await connection.execute(text("SELECT to_regclass('alembic_version')"))).scalar_one() is not None:
                found = await connection.execute(text("SELECT version_num FROM alembic_version"))
                revision = found.scalar_one_or_none()
        return About(version=str(version).partition(" ")[0], size_bytes=size, revision=revision)

    def pool(self) -> PoolUse:
        """Tell how busy the pool is."""
        pool = self.engine.pool
        assert isinstance(pool, QueuePool)
        return PoolUse(
            size=pool.size(), in_use=pool.checkedout(), idle=pool.checkedin(), overflow=max(0, pool.overflow())
        )

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()
