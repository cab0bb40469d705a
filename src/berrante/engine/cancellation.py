"""Cancelling a job from any process: asked for in a small stream beside the queue, heard by the worker that runs it.

A request is meant for one run, by its lock token. It stays in the stream until that run is over, so a worker that is
away when it is made still finds it. Key: ``{prefix}:{queue}:berrante:cancellations``, which BullMQ never looks at (its
job ids hold no ``:``); entries are ``job``, ``token`` and ``reason``.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, cast

from berrante.engine.connection import Connection, is_unavailable
from berrante.engine.errors import JobNotInState
from berrante.engine.runner import Runner
from berrante.engine.state import State
from berrante.engine.ticker import is_cancelled
from berrante.engine.whereabouts import remove_job, state_of
from berrante.engine.wire.keys import QueueKeys

_SUFFIX: Final = "berrante:cancellations"
_KEPT_MS: Final = 24 * 3_600_000  # requests that no worker of ours is there to hear, as with Node's alone
_BLOCK_MS: Final = 1_000  # a worker that joins the others' blocking read is heard after that at the latest
_PAUSE_S: Final = 0.2

_Text = bytes | str | memoryview
_Entry = tuple[bytes, dict[bytes, bytes]]


async def ask(connection: Connection, keys: QueueKeys, job_id: str, *, reason: str) -> bool:
    """Remove a job that has not begun, or ask its worker to stop it; see ``Queue.cancel``."""
    refused_in: State | None = None
    while True:
        state = await state_of(connection, keys, job_id)
        if state in (None, State.COMPLETED, State.FAILED):
            return False
        if state is State.ACTIVE:
            await _tell(connection, keys, job_id, reason)
            return True
        answer = await remove_job(connection, keys, job_id)
        if answer == 1:
            return True
        if answer != 0 or refused_in is state:
            raise JobNotInState(job_id, needed="free of active children, and no scheduler's next job", during="cancel")
        refused_in = state  # a worker took it just now: look again


async def _tell(connection: Connection, keys: QueueKeys, job_id: str, reason: str) -> None:
    token = cast("bytes | None", await connection.redis.get(keys.job(job_id) + ":lock"))
    stream = keys.state(_SUFFIX)
    async with connection.redis.pipeline(transaction=True) as pipeline:
        pipeline.xadd(stream, {"job": job_id, "token": token or b"", "reason": reason})
        pipeline.pexpire(stream, _KEPT_MS)
        await pipeline.execute()


class Cancellations:
    """Hears the requests of one worker's queue, and has its runner stop what they name."""

    def __init__(self, connection: Connection, keys: QueueKeys, runner: Runner) -> None:
        self._connection = connection
        self._keys = keys
        self._runner = runner
        self._stream = keys.state(_SUFFIX)
        self._bell = asyncio.Event()

    async def run(self) -> None:
        """Look whenever a request is made, until cancelled."""
        ear = _Ear.of(self._connection)
        async with ear.listening(self._stream, self._bell):
            self._bell.set()
            while not is_cancelled():
                await self._bell.wait()
                self._bell.clear()
                ear.check()
                try:
                    await self.look()
                except Exception as error:
                    if not is_unavailable(error):
                        raise
                    await asyncio.sleep(_PAUSE_S)
                    self._bell.set()

    async def look(self) -> None:
        """Go through the open requests once."""
        for entry_id, request in cast("list[_Entry]", await self._connection.redis.xrange(self._stream)):
            job_id, token, reason = (request[name].decode() for name in (b"job", b"token", b"reason"))
            job = self._runner.find(job_id)
            if job is not None and job.token == token:
                self._runner.call_off(job, reason, settled=self._bell.set)
            elif await self._is_over(job_id, token) and await self._connection.redis.xdel(self._stream, entry_id):
                # That run ended first. If the job is to run again, or runs already, it is not to: ask anew.
                await ask(self._connection, self._keys, job_id, reason=reason)

    async def _is_over(self, job_id: str, token: str) -> bool:
        lock = cast("bytes | None", await self._connection.redis.get(self._keys.job(job_id) + ":lock"))
        if lock is not None:
            return lock.decode() != token
        # Active without a lock: its worker fell silent, and the next sweep lets it wait, where it can be removed.
        return await state_of(self._connection, self._keys, job_id) is not State.ACTIVE


class _Ear:
    """One blocking read, on a connection of its own, for all workers that share a ``Connection``."""

    _ears: Final[dict[Connection, "_Ear"]] = {}

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._bells: dict[asyncio.Event, str] = {}
        self._since: dict[str, str] = {}
        self._listener: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, connection: Connection) -> "_Ear":
        """Return the connection's ear; it is forgotten when its last worker leaves."""
        return cls._ears.setdefault(connection, cls(connection))

    @asynccontextmanager
    async def listening(self, stream: str, bell: asyncio.Event) -> AsyncIterator[None]:
        """Ring ``bell`` at every entry of ``stream``, for the time of the block."""
        self._bells[bell] = stream
        self._listener = self._listener or asyncio.create_task(self._listen())
        try:
            yield
        finally:
            del self._bells[bell]
            if not self._bells:
                del self._ears[self._connection]
                self._listener.cancel()
                await asyncio.gather(self._listener, return_exceptions=True)

    def check(self) -> None:
        """Raise what ended the read, if it ended."""
        if self._listener and self._listener.done():
            self._listener.result()

    async def _listen(self) -> None:
        client = self._connection.client(timeout_s=_BLOCK_MS / 1_000 + 5, single=True)
        try:
            while not is_cancelled():
                since: dict[_Text, int | _Text] = {
                    stream: self._since.get(stream, "0") for stream in self._bells.values()
                }
                try:
                    heard = await client.xread(since, block=_BLOCK_MS)
                except Exception as error:
                    if not is_unavailable(error):
                        raise
                    await asyncio.sleep(_PAUSE_S)
                    continue
                for stream, entries in cast("list[tuple[bytes, list[_Entry]]] | None", heard) or []:
                    self._ring(stream.decode(), entries[-1][0].decode())
        finally:
            for bell in self._bells:
                bell.set()
            await client.aclose()

    def _ring(self, stream: str, last: str) -> None:
        self._since[stream] = last
        for bell, of in self._bells.items():
            if of == stream:
                bell.set()
