"""An event sink that remembers what it took, and refuses while it is told to."""

from collections.abc import Sequence

from berrante.gateways.protocol import Event, IncomingMessage, Receipt


class RecordingSink:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.offers: list[int] = []  # sizes of all batches, taken or not
        self.broken: Exception | None = None

    async def __call__(self, events: Sequence[Event]) -> None:
        self.offers.append(len(events))
        if self.broken is not None:
            raise self.broken
        self.events += events

    @property
    def receipts(self) -> list[tuple[str, str]]:
        return [(event.message_id, event.status.value) for event in self.events if isinstance(event, Receipt)]

    @property
    def incoming(self) -> list[IncomingMessage]:
        return [event for event in self.events if isinstance(event, IncomingMessage)]
