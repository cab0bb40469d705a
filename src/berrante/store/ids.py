"""UUIDv7 (RFC 9562): keys that sort by the time they were made."""

import os
import threading
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

_COUNTER_BITS: Final = 42
_TAIL_BITS: Final = 32


class IdMaker:
    """Makes ids that strictly increase within the process, even within a millisecond or when the clock steps back.

    After 48 bits of milliseconds come a 42-bit counter, seeded at random each millisecond, and 32 random bits
    (RFC 9562, section 6.2, method 1).

    >>> ids = IdMaker(now_ms=lambda: 0x0123456789AB)
    >>> first, second = ids(), ids()
    >>> first < second, first.version, str(first)[:13]
    (True, 7, '01234567-89ab')
    """

    def __init__(self, *, now_ms: Callable[[], int], random_bits: Callable[[int], int] | None = None) -> None:
        self._now_ms = now_ms
        self._random_bits = random_bits or _Randomness()
        self._lock = threading.Lock()
        self._ms = -1
        self._counter = 0

    def __call__(self) -> UUID:
        """Make the next id."""
        with self._lock:
            ms, counter = self._next()
        high, low = counter >> 30, counter & (2**30 - 1)
        tail = self._random_bits(_TAIL_BITS)
        return UUID(int=ms << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low << _TAIL_BITS | tail)

    def _next(self) -> tuple[int, int]:
        now = self._now_ms()
        if now > self._ms:
            self._ms = now
            self._counter = self._random_bits(_COUNTER_BITS - 1)  # the top bit is left free to count into
        else:
            self._counter += 1
            if self._counter >> _COUNTER_BITS:
                self._ms, self._counter = self._ms + 1, 0
        return self._ms, self._counter


class _Randomness:
    """Random bits of the operating system, fetched many at a time: a call to it costs as much as the rest of an id."""

    def __init__(self) -> None:
        self._bytes = b""
        self._at = 0
        os.register_at_fork(after_in_child=self._forget)

    def __call__(self, bits: int) -> int:
        end = self._at + (bits + 7) // 8
        if end > len(self._bytes):
            self._bytes, self._at, end = os.urandom(4_096), 0, (bits + 7) // 8
        found = int.from_bytes(self._bytes[self._at : end], "big") & ((1 << bits) - 1)
        self._at = end
        return found

    def _forget(self) -> None:
        # A child that went on with its parent's bits would make its parent's ids.
        self._bytes, self._at = b"", 0


new_id: Final = IdMaker(now_ms=lambda: time.time_ns() // 1_000_000)


def first_id(ms: int) -> UUID:
    """Return the smallest id that is made at that time: ids begin with their milliseconds.

    >>> str(first_id(0x0123456789AB))
    '01234567-89ab-0000-0000-000000000000'
    """
    return UUID(int=ms << 80)
