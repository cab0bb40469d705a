"""The events of a queue, from all its workers and producers, as BullMQ streams them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, cast

from berrante.engine.connection import Connection
from berrante.engine.ticker import is_cancelled
from berrante.engine.wire.codec import Json, decode
from berrante.engine.wire.keys import QueueKeys

_Entry = tuple[bytes, dict[bytes, bytes]]
_JSON_FIELDS: Final = frozenset({"returnvalue", "data"})


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueEvent:
    """One event: ``name`` and ``fields`` are BullMQ's; ``id`` is its place in the stream, to go on from."""

    id: str
    name: str
    job_id: str | None
    fields: dict[str, Json]


class QueueEvents:
    """Reads a queue's event stream.

    Example::

        async for event in QueueEvents("message", connection).listen():
            print(event.name, event.job_id)
    """

    def __init__(self, queue: str, connection: Connection, *, prefix: str = "bull", block_ms: int = 5_000) -> None:
        self._keys = QueueKeys(queue, prefix=prefix)
        self._connection = connection
        self._block_ms = block_ms

    async def latest(self, count: int = 100) -> list[QueueEvent]:
        """Return up to ``count`` of the events that are kept, the latest first."""
        entries = cast("list[_Entry]", await self._connection.redis.xrevrange(self._keys.events, count=count))
        return [_event(entry_id.decode(), raw) for entry_id, raw in entries]

    async def listen(self, since: str = "$") -> AsyncIterator[QueueEvent]:
        """Yield events after ``since``: ``$`` for those to come, ``0`` for all that are kept, or an event's id.

        ``$`` is fixed when the first event is asked for. Raises a ``RedisError`` when the server goes away; go on from
        the last id.
        """
        client = self._connection.client(timeout_s=self._block_ms / 1_000 + 5, single=True)
        try:
            if since == "$":
                last = await self.latest(1)
                since = last[0].id if last else "0"
            while not is_cancelled():
                reply = await client.xread({self._keys.events: since}, count=100, block=self._block_ms)
                for _, entries in cast("list[tuple[bytes, list[_Entry]]] | None", reply) or []:
                    for entry_id, raw in entries:
                        since = entry_id.decode()
                        yield _event(since, raw)
        finally:
            await client.aclose()


def _event(entry_id: str, raw: dict[bytes, bytes]) -> QueueEvent:
    fields = {name.decode(): value for name, value in raw.items()}
    job_id = fields.get("jobId")
    return QueueEvent(
        id=entry_id,
        name=fields.pop("event", b"").decode(),
        job_id=job_id.decode() if job_id else None,
        fields={name: _value(name, value) for name, value in fields.items() if name != "jobId"},
    )


def _value(name: str, raw: bytes) -> Json:
    if name in _JSON_FIELDS:
        try:
            return decode(raw)
        except ValueError:
            return raw.decode("utf-8", "replace")
    return raw.decode("utf-8", "replace")
