"""Finds connections that were lost while they lay in the pool, before they are used."""

import time
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine

_TRUSTED_S: Final = 5.0  # idle for longer, a connection may have been forgotten by what stands between
_SINCE: Final = "berrante_idle_since"


def watch_idle(engine: AsyncEngine) -> None:
    """Have the pool replace a connection that is closed, or that does not answer after some seconds of idleness.

    SQLAlchemy's own ``pool_pre_ping`` costs three exchanges with the server before each transaction, which is more than
    most transactions take. A server that ends closes its connections, and asyncpg knows at once; only what a network
    lost silently has to be found by asking.
    """
    pool = engine.sync_engine.pool

    @event.listens_for(pool, "checkin")
    def _lay_down(_connection: Any, record: Any) -> None:  # noqa: ANN401  as SQLAlchemy's
        record.info[_SINCE] = time.monotonic()

    @event.listens_for(pool, "checkout")
    def _take_up(connection: Any, record: Any, _proxy: Any) -> None:  # noqa: ANN401
        if connection.driver_connection.is_closed():
            raise InvalidatePoolError
        since = record.info.get(_SINCE)
        if since is None or time.monotonic() - since < _TRUSTED_S:
            return
        try:
            connection.ping()
        except Exception as error:
            raise InvalidatePoolError from error
