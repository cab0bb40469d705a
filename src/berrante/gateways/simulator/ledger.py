"""What each contact saw: the truth that tests and campaign rehearsals compare with."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from berrante.gateways.content import Content

Chat = tuple[str, str]  # instance id, contact's address

_LIMIT: Final = 200_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One message on a contact's screen; ``body`` is its words, ``content`` all of it."""

    wire_id: str
    body: str
    at_ms: int
    content: Content | None = None
    reply_to: str | None = None


class Ledger(Mapping[Chat, list[Seen]]):
    """Messages by (instance id, contact), each in the order in which they appeared.

    A contact who saw nothing has an empty list. Beyond ``limit`` messages the oldest are forgotten, and with them that
    their wire ids were used.
    """

    def __init__(self, *, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._chats: dict[Chat, dict[str, Seen]] = {}
        self._order: deque[tuple[Chat, str]] = deque()

    def __getitem__(self, chat: Chat) -> list[Seen]:
        return list(self._chats.get(chat, {}).values())

    def __contains__(self, chat: object) -> bool:
        return chat in self._chats

    def __iter__(self) -> Iterator[Chat]:
        return iter(self._chats)

    def __len__(self) -> int:
        return len(self._chats)

    def find(self, chat: Chat, wire_id: str) -> Seen | None:
        """Return what the contact saw under this wire id, if anything."""
        return self._chats.get(chat, {}).get(wire_id)

    def show(self, chat: Chat, seen: Seen) -> Seen:
        """Show the contact a message; one that is there already stays as it is and is returned."""
        known = self.find(chat, seen.wire_id)
        if known is not None:
            return known
        self._chats.setdefault(chat, {})[seen.wire_id] = seen
        self._order.append((chat, seen.wire_id))
        if len(self._order) > self._limit:
            self._forget_oldest()
        return seen

    def _forget_oldest(self) -> None:
        chat, wire_id = self._order.popleft()
        messages = self._chats[chat]
        del messages[wire_id]
        if not messages:
            del self._chats[chat]
