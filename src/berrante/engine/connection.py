"""A connection to Redis or Valkey, and the two ways to call a script over it."""

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, Self

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from berrante.engine.addressing import Addressing
from berrante.engine.link import Link, ask
from berrante.engine.wire.scripts import Call, check_compatible

#: Redis is away, or cannot write for now: the same call may succeed later.
UNAVAILABLE: Final = (
    RedisConnectionError,
    RedisTimeoutError,
    BusyLoadingError,
    ReadOnlyError,
    OutOfMemoryError,
    ClusterDownError,
    MasterDownError,
    TryAgainError,
    OSError,
)
_TRANSIENT_WORDS: Final = ("OOM", "MISCONF", "BUSY", "LOADING", "READONLY", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN")


def is_unavailable(error: BaseException) -> bool:
    """Tell whether an error speaks of the server's condition, so that waiting helps, and not of the call."""
    if isinstance(error, UNAVAILABLE):
        return True
    return isinstance(error, ResponseError) and any(word in str(error) for word in _TRANSIENT_WORDS)


def system_clock() -> int:
    """Return the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Connection:
    """The way to one Redis or Valkey, shared by queues and workers of a process.

    ``socket_timeout_s`` bounds every ordinary command. A worker's blocking read has a connection of its own, whose
    time-out is longer than the block: redis-py would otherwise give up a read that is merely waiting.

    No command is ever repeated by the client itself: a repeated ``add`` could be a second message. Who calls decides.

    >>> connection = Connection.from_url("redis://127.0.0.1:6379/0")
    """

    def __init__(self, url: str, *, socket_timeout_s: float = 10.0, clock: Callable[[], int] = system_clock) -> None:
        check_compatible()
        self._socket_timeout_s = socket_timeout_s
        settings: dict[str, Any] = {
            "socket_connect_timeout": min(5.0, socket_timeout_s),
            "socket_keepalive": True,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
        }
        self._addressing = Addressing(url, settings)
        self.now_ms = clock
        self.redis = self.client()

    @classmethod
    def from_url(cls, url: str, *, socket_timeout_s: float = 10.0, clock: Callable[[], int] = system_clock) -> Self:
        """Prepare a connection to ``redis://``, ``rediss://`` or ``unix://``; nothing is sent before the first command.

        With ``redis+sentinel://host,host/service/0`` it goes to whichever server the Sentinels name as the primary,
        with ``redis+cluster://host,host/cell`` to whichever has the cell's slot: there every prefix holds ``{cell}``.

        Raises ``ValueError`` for a URL of another kind and ``IncompatibleScripts`` if the installed Lua was not tested.
        """
        return cls(url, socket_timeout_s=socket_timeout_s, clock=clock)

    def client(self, *, name: str | None = None, timeout_s: float | None = None, single: bool = False) -> Redis:
        """Open another client to the same server; its caller closes it."""
        return self._addressing.client(
            single=single, client_name=name, socket_timeout=timeout_s or self._socket_timeout_s
        )

    def link(self) -> Link:
        """Open a connection for script calls alone; its caller closes it."""
        connection, pool = self._addressing.connection()
        return Link(connection, timeout_s=self._socket_timeout_s, pool=pool)

    def admit(self, prefix: str) -> None:
        """Raise ``ValueError`` with the remedy if queues under ``prefix`` cannot live there."""
        self._addressing.admit(prefix)

    def within(self, name: str) -> str:
        """Return a prefix of that name that queues may have there."""
        return self._addressing.within(name)

    async def ping(self) -> None:
        """Raise a ``RedisError`` unless the server answers."""
        await self.redis.ping()

    async def run(self, call: Call) -> Any:  # noqa: ANN401  a script answers whatever it likes; typed callers read it
        """Call one script; the source travels only when the server does not know it yet."""
        pool = self.redis.connection_pool
        connection = await pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            return await ask(connection, call)
        finally:
            await pool.release(connection)

    async def run_all(self, calls: Sequence[Call]) -> list[Any]:
        """Call many scripts in one round trip; the answer of one that failed is its exception."""
        return await run_all(self.redis, calls)

    async def close(self) -> None:
        """Close the sockets."""
        await self.redis.aclose()
        await self._addressing.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def run_all(client: Redis, calls: Sequence[Call]) -> list[Any]:
    """Call many scripts over ``client`` in one round trip, in order."""
    if not calls:
        return []
    async with client.pipeline(transaction=False) as pipeline:
        for call in calls:
            pipeline.execute_command("EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.args)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
    if any(isinstance(answer, NoScriptError) for answer in answers):
        # The server was restarted, or its scripts flushed. A refused call did nothing: those alone are sent again.
        unknown = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        async with client.pipeline(transaction=False) as pipeline:
            for call in (calls[index] for index in unknown):
                pipeline.execute_command("EVAL", call.script.source, len(call.keys), *call.keys, *call.args)
            for index, answer in zip(unknown, await pipeline.execute(raise_on_error=False), strict=True):
                answers[index] = answer
    return answers
