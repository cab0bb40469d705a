"""The time that the simulator runs on: two functions, so that a test can move it."""

import asyncio
import time
from collections.abc import Awaitable, Callable

Clock = Callable[[], int]  # milliseconds since the epoch
Sleep = Callable[[int], Awaitable[None]]  # milliseconds


def wall_clock() -> int:
    """Return the milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


async def wall_sleep(ms: int) -> None:
    """Sleep for real."""
    await asyncio.sleep(ms / 1_000)
