"""Waiting for a condition, never for a time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

T = TypeVar("T")


async def until(condition: Callable[[], T | Awaitable[T]], *, timeout_s: float = 10) -> T:
    """Call ``condition`` until what it returns (or what that awaits to) is true, and return that.

    Raises ``TimeoutError`` with the last value, so that a failure shows how far things had come.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        answer = condition()
        value = cast("T", await answer if inspect.isawaitable(answer) else answer)
        if value:
            return value
        if time.monotonic() > deadline:
            what = getattr(condition, "__qualname__", repr(condition))
            raise TimeoutError(f"{what} was still {value!r} after {timeout_s:g} s")
        await asyncio.sleep(0.01)
