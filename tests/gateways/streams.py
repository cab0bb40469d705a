"""Long files that come in chunks, and how much memory it takes to handle them."""

import tracemalloc
from collections.abc import AsyncIterator, Awaitable
from typing import Final, TypeVar

MIB: Final = 1024 * 1024
T = TypeVar("T")


async def chunks(size: int) -> AsyncIterator[bytes]:
    """Yield so many bytes, as a server hands them out."""
    for number in range(size // 65_536):
        yield number.to_bytes(2) * 32_768


async def peak_of(work: Awaitable[T]) -> tuple[T, int]:
    """Return what comes of it, and the most bytes that Python had in use for it at once."""
    tracemalloc.start()
    try:
        return await work, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
