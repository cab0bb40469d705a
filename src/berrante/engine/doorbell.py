"""Waits for BullMQ's marker, the key by which whoever adds a job wakes one idle worker."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, cast

from redis.asyncio import Redis

from berrante.engine.connection import is_unavailable
from berrante.engine.ticker import is_cancelled

#: Members of the marker: a job can be taken now, and when the next delayed one is due (its score).
NOW: Final = b"0"
LATER: Final = b"1"

#: How long an unreachable server is left alone; the worker's own loop tells the operator.
_PAUSE_S: Final = 0.2

Answer = Callable[[bytes | None, int], bool]


class Doorbell:
    """One blocking read at a time, on a connection of its own, only while armed.

    ``answer(member, score)`` is called when the bell rang, or with None when ``block_ms`` passed in silence. It returns
    whether the worker has room; if not, the marker is put back for an idle worker elsewhere: BullMQ wakes only one.
    """

    def __init__(self, client: Redis, markers: Sequence[str], *, block_ms: int, answer: Answer) -> None:
        self._client = client
        self._markers = list(markers)
        self._block_ms = block_ms
        self._answer = answer
        self._armed = asyncio.Event()

    def arm(self) -> None:
        """Listen from now on, until the bell rings or the block ends."""
        self._armed.set()

    @property
    def is_armed(self) -> bool:
        """Tell whether the bell is being listened to."""
        return self._armed.is_set()

    async def run(self) -> None:
        """Listen whenever armed, until cancelled."""
        while not is_cancelled():
            await self._armed.wait()
            try:
                await self.listen()
            except Exception as error:
                if not is_unavailable(error):
                    raise
                await asyncio.sleep(_PAUSE_S)

    async def listen(self) -> None:
        """Wait for one ring or the end of the block."""
        rung = cast(
            "tuple[bytes, bytes, float] | None", await self._client.bzpopmin(self._markers, self._block_ms / 1_000)
        )
        self._armed.clear()
        if rung is None:
            self._answer(None, 0)
            return
        marker, member, score = rung
        if not self._answer(member, int(score)):
            await self._client.zadd(marker, {member: score})
