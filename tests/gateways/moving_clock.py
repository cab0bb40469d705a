"""A clock that stands still until a test moves it."""

import asyncio

NOON_MS = 1_700_000_000_000


class MovingClock:
    def __init__(self) -> None:
        self.now_ms = NOON_MS
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []

    def __call__(self) -> int:
        return self.now_ms

    @property
    def sleeping(self) -> list[int]:
        """How long each sleeper still has to sleep, in milliseconds."""
        return sorted(due_ms - self.now_ms for due_ms, sleeper in self._sleepers if not sleeper.done())

    async def sleep(self, ms: int) -> None:
        sleeper = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now_ms + ms, sleeper))
        await sleeper

    def advance(self, ms: int) -> None:
        self.now_ms += ms
        for due_ms, sleeper in self._sleepers:
            if due_ms <= self.now_ms and not sleeper.done():
                sleeper.set_result(None)
        self._sleepers = [(due_ms, sleeper) for due_ms, sleeper in self._sleepers if not sleeper.done()]
