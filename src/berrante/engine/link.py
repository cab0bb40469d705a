"""A connection for the hot path: script calls, one at a time, with nothing in between."""

import asyncio
from typing import Any, Final

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import NoScriptError

from berrante.engine.wire.scripts import Call

_BY_DIGEST: Final = b"EVALSHA"
_BY_SOURCE: Final = b"EVAL"


class Link:
    """One socket of redis-py's, opened and parsed by it, without the client around it.

    The client packs commands in Python, and wraps each in retries, events and two time-outs: some 100 µs a call, as
    much as all the rest of a job. Nothing is ever sent twice here; an error closes the socket, and the next call opens
    another.
    """

    def __init__(self, connection: AbstractConnection, *, timeout_s: float, pool: ConnectionPool | None = None) -> None:
        self._connection = connection
        self._pool = pool  # a connection of Sentinels knows its pool by a weak reference only
        self._timeout_s = timeout_s

    async def call(self, call: Call) -> Any:  # noqa: ANN401  a script answers whatever it likes; typed callers read it
        """Call a script; raises a ``RedisError``, or ``TimeoutError`` if no answer came in time."""
        async with asyncio.timeout(self._timeout_s):
            if not self._connection.is_connected:
                # Sending would connect too, but without asking Sentinels where to.
                await self._connection.connect()  # type: ignore[no-untyped-call]
            return await ask(self._connection, call)

    async def close(self) -> None:
        """Close the socket."""
        await self._connection.disconnect()


async def ask(connection: AbstractConnection, call: Call) -> Any:  # noqa: ANN401  see Link.call
    """Call a script over a connection; its source travels only when the server does not know it yet."""
    try:
        return await _ask(connection, _BY_DIGEST, call.script.sha, call)
    except NoScriptError:
        return await _ask(connection, _BY_SOURCE, call.script.source, call)


async def _ask(connection: AbstractConnection, verb: bytes, script: str | bytes, call: Call) -> Any:  # noqa: ANN401
    command = (verb, script, len(call.keys), *call.keys, *call.args)
    packed = pack_command(command)  # type: ignore[arg-type]  # its stub speaks of tuples of one
    await connection.send_packed_command(packed, check_health=False)
    return await connection.read_response()
