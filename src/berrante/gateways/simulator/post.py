"""Events on their way to the sink: each at its time, in order, and kept until the sink has taken it."""

import asyncio
import heapq
import itertools
import logging
from typing import Final

from berrante.gateways.protocol import Event, EventSink
from berrante.gateways.simulator.timing import Clock

_log = logging.getLogger(__name__)

_BATCH: Final = 500
_FIRST_RETRY_MS: Final = 100
_LONGEST_RETRY_MS: Final = 10_000


class PostFull(Exception):
    """The sink has not taken events for so long that no more are kept."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} events wait for the simulator's sink, and no more are kept")
        self.limit = limit


class Post:
    """A bounded, ordered mailbox.

    While the sink fails, everything waits behind what it would not take: no receipt overtakes an earlier one.
    """

    def __init__(self, sink: EventSink, *, clock: Clock, limit: int) -> None:
        self._sink = sink
        self._clock = clock
        self._limit = limit
        self._waiting: list[tuple[int, int, Event]] = []  # a heap: due, order of entry, event
        self._entries = itertools.count()
        self._handing_over = asyncio.Lock()
        self._failures = 0
        self._not_before_ms = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def has_room(self, events: int) -> bool:
        """Tell whether so many more can be kept."""
        return len(self._waiting) + events <= self._limit

    def put(self, event: Event, due_ms: int) -> None:
        """Keep an event until ``due_ms`` and from then on until the sink took it; raises ``PostFull``."""
        if not self.has_room(1):
            raise PostFull(self._limit)
        heapq.heappush(self._waiting, (due_ms, next(self._entries), event))

    def next_ms(self) -> int | None:
        """Return when there is something to do, if ever."""
        return max(self._waiting[0][0], self._not_before_ms) if self._waiting else None

    def retry_after_ms(self) -> int:
        """Return how long the sink is left alone from now on."""
        return max(_FIRST_RETRY_MS, self._not_before_ms - self._clock())

    async def hand_over(self) -> int:
        """Give the sink all that is due; return how many it took. A sink that raises is asked again later."""
        taken = 0
        async with self._handing_over:
            while self._clock() >= self._not_before_ms and (batch := self._due()):
                try:
                    await self._sink([event for _, _, event in batch])
                except Exception as error:  # noqa: BLE001  whatever ails the sink, the events are kept
                    self._put_back(batch, error)
                    break
                except BaseException:  # cancelled half-way: the sink may have them, and takes them twice
                    self._keep(batch)
                    raise
                self._succeed()
                taken += len(batch)
        return taken

    def _due(self) -> list[tuple[int, int, Event]]:
        now_ms = self._clock()
        # After a failure one event at a time: as many as the sink can take get through.
        size = 1 if self._failures else _BATCH
        batch: list[tuple[int, int, Event]] = []
        while len(batch) < size and self._waiting and self._waiting[0][0] <= now_ms:
            batch.append(heapq.heappop(self._waiting))
        return batch

    def _keep(self, batch: list[tuple[int, int, Event]]) -> None:
        for entry in batch:
            heapq.heappush(self._waiting, entry)

    def _put_back(self, batch: list[tuple[int, int, Event]], error: Exception) -> None:
        self._keep(batch)
        delay_ms = min(_FIRST_RETRY_MS * 2 ** min(self._failures, 30), _LONGEST_RETRY_MS)
        self._failures += 1
        self._not_before_ms = self._clock() + delay_ms
        _log.warning(
            "The sink did not take %d of the simulator's %d events (%s: %s). They are kept and offered again in %d ms.",
            len(batch),
            len(self._waiting),
            type(error).__name__,
            error,
            delay_ms,
        )

    def _succeed(self) -> None:
        if self._failures:
            _log.info("The sink takes the simulator's events again; %d were kept.", len(self._waiting))
        self._failures = 0
        self._not_before_ms = 0
