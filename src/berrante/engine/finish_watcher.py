"""Waits for the ends of jobs: one reader of a queue's events for all who wait in this process."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final
from weakref import WeakKeyDictionary

from berrante.engine.connection import Connection
from berrante.engine.errors import JobDidFail, JobMissing
from berrante.engine.queue_events import QueueEvent, QueueEvents
from berrante.engine.wire import administering
from berrante.engine.wire.codec import Json, read_json
from berrante.engine.wire.codes import Code
from berrante.engine.wire.keys import QueueKeys

#: How often a job is looked at all the same: the stream is trimmed, and a slow reader misses what was cut off.
_LOOK_S: Final = 10.0
_AGAIN_S: Final = 0.05
#: Among how many of the latest events the end of a job is sought that was not kept: mostly it is one of the first, and
#: the last of them are some 10 ms old in a busy queue.
_LATEST: Final = (100, 1_000)
_ENDS: Final = frozenset({"completed", "failed", "removed"})
_COMPLETED: Final = 1
_FAILED: Final = 2

#: The event of a job's end, or what broke the reader.
_News = QueueEvent | BaseException


async def until_finished(connection: Connection, keys: QueueKeys, job_id: str, *, timeout_s: float | None) -> Json:
    """Return what a job's handler returned; see ``Job.wait_until_finished``."""
    try:
        async with asyncio.timeout(timeout_s) as limit, _watching(connection, keys) as watcher:
            return await watcher.wait(job_id)
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise TimeoutError(f"job {job_id!r} of {keys.queue!r} was not finished within {timeout_s} s") from error


class _FinishWatcher:
    """Reads one queue's events as long as somebody waits."""

    def __init__(self, connection: Connection, keys: QueueKeys) -> None:
        self.watched = 0
        self._connection = connection
        self._keys = keys
        self._events = QueueEvents(keys.queue, connection, prefix=keys.prefix)
        self._waiting: dict[str, list[asyncio.Future[_News]]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def wait(self, job_id: str) -> Json:
        with self._expecting(job_id) as news:
            is_over, value = await self._begin(job_id)
            while not is_over:
                await asyncio.wait([news], timeout=_LOOK_S)
                if news.done():
                    return _value(job_id, news.result())
                is_over, value = await self._look(job_id)
            return value

    async def _begin(self, job_id: str) -> tuple[bool, Json]:
        """Look at a job after the place in the stream was fixed from which it is read: no end falls between."""
        if self._reading is None:
            async with self._starting:
                if self._reading is None:
                    last = await self._events.latest(1)
                    is_over, value = await self._look(job_id)
                    if not is_over:
                        self._reading = asyncio.create_task(self._read(last[0].id if last else "0"))
                        self._reading.add_done_callback(self._ended)
                    return is_over, value
        return await self._look(job_id)

    async def _look(self, job_id: str) -> tuple[bool, Json]:
        code, *rest = await self._connection.run(administering.finished(self._keys, job_id))
        if code == _COMPLETED:
            return True, read_json(rest[0], job_id=job_id, field="returnvalue")
        if code == _FAILED:
            raise JobDidFail(job_id, reason=rest[0].decode("utf-8", "replace"))
        if code == Code.MISSING:
            return True, await self._sought(job_id)
        return False, None

    async def _sought(self, job_id: str) -> Json:
        for count in _LATEST:
            for event in await self._events.latest(count):
                if event.job_id == job_id and event.name in _ENDS:
                    return _value(job_id, event)
        raise JobMissing(job_id, during="wait_until_finished")

    async def close(self) -> None:
        while (reading := self._reading) and not reading.done():
            reading.cancel()  # and again, since it can be swallowed: see ticker.is_cancelled
            await asyncio.wait([reading], timeout=_AGAIN_S)

    @contextmanager
    def _expecting(self, job_id: str) -> Iterator[asyncio.Future[_News]]:
        news: asyncio.Future[_News] = asyncio.get_running_loop().create_future()
        others = self._waiting.setdefault(job_id, [])
        others.append(news)
        try:
            yield news
        finally:
            others.remove(news)
            if not others:
                del self._waiting[job_id]

    async def _read(self, since: str) -> None:
        async for event in self._events.listen(since):
            if event.name in _ENDS and event.job_id in self._waiting:
                _tell(self._waiting[event.job_id], event)

    def _ended(self, reading: asyncio.Task[None]) -> None:
        self._reading = None
        if not reading.cancelled() and (error := reading.exception()):
            for waiting in self._waiting.values():
                _tell(waiting, error)


def _tell(waiting: list[asyncio.Future[_News]], news: _News) -> None:
    for future in waiting:
        if not future.done():
            future.set_result(news)


def _value(job_id: str, news: _News) -> Json:
    if isinstance(news, BaseException):
        raise news
    match news.name:
        case "completed":
            return news.fields.get("returnvalue")
        case "failed":
            raise JobDidFail(job_id, reason=str(news.fields.get("failedReason")))
        case _:
            raise JobMissing(job_id, during="wait_until_finished")


#: Per connection, since a watcher lives in its loop and on its server; empty whenever nobody waits.
_watchers: Final[WeakKeyDictionary[Connection, dict[str, _FinishWatcher]]] = WeakKeyDictionary()


@asynccontextmanager
async def _watching(connection: Connection, keys: QueueKeys) -> AsyncIterator[_FinishWatcher]:
    watchers = _watchers.setdefault(connection, {})
    watcher = watchers.get(keys.base)
    if watcher is None:
        watcher = watchers[keys.base] = _FinishWatcher(connection, keys)
    watcher.watched += 1
    try:
        yield watcher
    finally:
        watcher.watched -= 1
        if not watcher.watched:
            del watchers[keys.base]
            await watcher.close()
