"""The way to one PostgreSQL database, shared by all services of a process."""

from contextlib import AbstractAsyncContextManager
from typing import Final

from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from berrante.store.encryption import Cipher
from berrante.store.sealed import use_cipher

_DRIVER: Final = "postgresql+asyncpg"
_SPELLINGS: Final = frozenset({"postgres", "postgresql", _DRIVER})


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


class Database:
    """A pool of connections to PostgreSQL; making one does no I/O.

    A connection that was lost while it was idle is replaced unseen (a ping before use), so a database that restarts
    is survived. ``cipher`` seals and opens the secrets of ``Sealed`` columns.

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
            pool_pre_ping=True,
            hide_parameters=True,  # an error must not carry message texts into logs and dead letters
            connect_args={"timeout": connect_timeout_s, "server_settings": {"application_name": "berrante"}},
        )
        self.cipher = cipher
        if cipher is not None:
            use_cipher(self.engine, cipher)

    def begin(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a transaction: committed at the end of the block, rolled back if it raises."""
        return self.engine.begin()

    async def ping(self) -> None:
        """Raise unless the database answers."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()
