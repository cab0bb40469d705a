"""When a worker asks Redis for jobs, and for how many: what all of its lanes know together."""

import asyncio
from collections.abc import Callable
from typing import Final

from berrante.engine.exchange import Turn

_RECHECK_MS: Final = 5_000  # a limit may be lifted by hand: ask again at least this often


class Pace:
    """Nothing is asked for while the queue is known to be empty, limited, or not due; ``arm`` then rings the bell.

    ``wake`` is set by whatever may change that. ``asked`` counts the jobs that turns under way may bring, ``rings`` how
    often the bell rang: a turn that was under way when it did knows nothing of what it rang for.
    """

    def __init__(self, concurrency: int, *, wake: asyncio.Event, arm: Callable[[], None]) -> None:
        self.asked = 0
        self.rings = 0
        self.is_stopping = False
        self._concurrency = concurrency
        self._wake = wake
        self._arm = arm
        self._more = True  # whether the next take may give a job, as far as we know
        self._due_ms = 0  # when the next delayed job is due; 0: not known
        self._limited_until_ms = 0
        self._lanes_without_redis = 0

    def want(self, now_ms: int, *, running: int, settling: int) -> int:
        """Return how many jobs to ask for now."""
        if self.is_stopping or now_ms < self._limited_until_ms:
            return 0
        if self._more or settling or (self._due_ms and now_ms >= self._due_ms):
            return max(0, self._concurrency - running - self.asked)
        return 0

    def plan(self, turn: Turn, now_ms: int, *, rings: int) -> None:
        """Learn from a turn that asked for jobs; ``rings`` is how often the bell had rung when it asked."""
        # The bell has a connection of its own: its ring may be read before the answer of a turn that came first.
        self._more = turn.more or rings != self.rings
        self._due_ms = turn.next_delayed_ms
        if turn.limited_ms:
            self._limited_until_ms = now_ms + min(turn.limited_ms, _RECHECK_MS)
            self._more = True
        elif not self._more:
            self._arm()

    def ask_again(self) -> None:
        """Ask, whatever was known: the bell rang, or long was silent."""
        self.rings += 1
        self._more = True
        self._wake.set()

    def expect(self, due_ms: int) -> None:
        """Ask at ``due_ms``, which the bell told."""
        self.rings += 1
        self._due_ms = due_ms
        self._wake.set()

    def stop(self) -> None:
        """Ask no more."""
        self.is_stopping = True
        self._wake.set()

    async def rest(self, now_ms: int) -> None:
        """Sleep until a handler ends, the bell rings, a job is due or a limit is over."""
        until = [self._limited_until_ms] if now_ms < self._limited_until_ms else []
        if self._due_ms > now_ms:
            until.append(self._due_ms)
        alarm = None
        if until:
            alarm = asyncio.get_running_loop().call_later((min(until) - now_ms) / 1_000, self._wake.set)
        self._wake.clear()
        try:
            await self._wake.wait()
        finally:
            if alarm:
                alarm.cancel()

    def lose_redis(self) -> bool:
        """Note that a lane lost Redis; True if it is the first."""
        self._lanes_without_redis += 1
        self._more = True
        return self._lanes_without_redis == 1

    def regain_redis(self) -> bool:
        """Note that a lane has Redis back; True if it is the last."""
        self._lanes_without_redis -= 1
        return self._lanes_without_redis == 0
