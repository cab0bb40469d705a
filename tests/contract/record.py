"""A list that can be waited on."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

PATIENCE_S = 15.0


class Record(Generic[T]):
    """What came in so far, in order; ``wait`` returns as soon as it satisfies a condition."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.items: list[T] = []
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<{self._what}: {self.items!r}>"

    def add(self, item: T) -> None:
        self.items.append(item)
        self._changed.set()

    async def wait(self, condition: Callable[[list[T]], bool], *, timeout_s: float = PATIENCE_S) -> list[T]:
        """Return the items once they satisfy ``condition``; raise with the items if they never do."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition(self.items):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"after {timeout_s:g} s the wait is still on for {self!r}") from None
        return self.items

    async def first(self, condition: Callable[[T], bool], *, timeout_s: float = PATIENCE_S) -> T:
        """Return the first item that satisfies ``condition``, now or later."""
        await self.wait(lambda items: any(map(condition, items)), timeout_s=timeout_s)
        return next(filter(condition, self.items))
