"""What a check says, and how it waits."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from berrante.engine import Connection

T = TypeVar("T")

#: How long a check waits for what should happen within milliseconds.
WITHIN_S: Final = 15.0
_LOOK_S: Final = 0.02


class CheckFailed(Exception):
    """Something did not happen, or not as it should."""

    code = "check_failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One line of a report."""

    name: str
    passed: bool
    detail: str
    took_ms: int


def expect(condition: object, complaint: str) -> None:
    """Raise ``CheckFailed`` unless the condition is true."""
    if not condition:
        raise CheckFailed(complaint)


async def eventually(look: Callable[[], Awaitable[T | None]], *, what: str, within_s: float = WITHIN_S) -> T:
    """Look until there is something to see and return it; ``CheckFailed`` names what never came."""
    deadline = time.monotonic() + within_s
    while True:
        seen = await look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise CheckFailed(f"{what} did not come within {within_s:g} s")
        await asyncio.sleep(_LOOK_S)


async def remove_keys(connection: Connection, prefix: str) -> int:
    """Remove everything in Redis under a prefix of our own making; return how many keys there were."""
    removed = 0
    batch: list[bytes] = []
    async for key in connection.redis.scan_iter(match=f"{prefix}:*", count=1_000):
        batch.append(key)
        if len(batch) == 500:
            removed += await connection.redis.unlink(*batch)
            batch = []
    if batch:
        removed += await connection.redis.unlink(*batch)
    return removed
