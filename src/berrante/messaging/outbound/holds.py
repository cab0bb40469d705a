"""Which accounts and pairs rest: known to this process alone. A number's rest is its lane's, in Redis."""

from collections.abc import Hashable
from typing import Final

from berrante.messaging.clock import Clock

_MANY: Final = 10_000


class Holds:
    """Keeps an account, or a number towards one contact, from being tried while it rests; all others go on."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._until_ms: dict[Hashable, int] = {}

    def hold(self, what: Hashable, for_ms: int) -> None:
        """Let ``what`` rest for at least ``for_ms`` from now."""
        now = self._clock()
        if len(self._until_ms) >= _MANY:
            self._until_ms = {key: until for key, until in self._until_ms.items() if until > now}
        self._until_ms[what] = max(self._until_ms.get(what, 0), now + for_ms)

    def remaining_ms(self, *what: Hashable) -> int:
        """Return how long the longest of these still rests; 0 if none does."""
        now = self._clock()
        return max(0, *(self._until_ms.get(key, 0) - now for key in what))
