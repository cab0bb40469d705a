"""What the stand-in knows: numbers, tokens, files, and what each contact saw."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]

_WINDOW_MS: Final = 24 * 3_600_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One message on a contact's screen, with everything that was posted. Posted twice, it is here twice."""

    id: str
    wire_id: str | None
    type: str
    content: Any
    reply_to: str | None
    at_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """An uploaded or a contact's file."""

    data: bytes
    mime_type: str


@dataclass(kw_only=True, slots=True)
class World:
    """All of it, in memory; ``enforces_window`` refuses, as a status, what is no template after 24 hours of silence."""

    clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    enforces_window: bool = False
    numbers: dict[str, str] = field(default_factory=dict)  # phone number id: number as it is shown
    tokens: dict[str, bool] = field(default_factory=dict)  # token: whether it is valid
    files: dict[str, File] = field(default_factory=dict)
    ledger: dict[tuple[str, str], list[Seen]] = field(default_factory=dict)  # phone number id, contact
    incoming: set[str] = field(default_factory=set)  # ids of what contacts wrote
    read: list[Json] = field(default_factory=list)
    uploads: int = 0
    tier: str = "TIER_250"
    _wrote_ms: dict[tuple[str, str], int] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def seen(self, phone_number_id: str, contact: str) -> list[Seen]:
        """Return what a contact saw of a number, in order."""
        return list(self.ledger.get((phone_number_id, contact), []))

    def show(self, phone_number_id: str, body: Json) -> Seen:
        """Show a contact what was posted."""
        type_ = str(body.get("type", "text"))
        context = body.get("context")
        seen = Seen(
            id=self.new_id("wamid.FAKE"),
            wire_id=body.get("biz_opaque_callback_data"),
            type=type_,
            content=body.get(type_),
            reply_to=context.get("message_id") if isinstance(context, dict) else None,
            at_ms=self.clock(),
        )
        self.ledger.setdefault((phone_number_id, contact_of(body)), []).append(seen)
        return seen

    def wrote(self, phone_number_id: str, contact: str) -> None:
        """Remember that a contact wrote: the window is open."""
        self._wrote_ms[phone_number_id, contact] = self.clock()

    def is_open(self, phone_number_id: str, contact: str) -> bool:
        """Tell whether the contact wrote within 24 hours."""
        return self.clock() - self._wrote_ms.get((phone_number_id, contact), -_WINDOW_MS) < _WINDOW_MS

    def keep(self, data: bytes, mime_type: str) -> str:
        """Keep a file and return its id."""
        id_ = str(1_000_000_000 + next(self._numbers))
        self.files[id_] = File(data=data, mime_type=mime_type)
        return id_

    def new_id(self, prefix: str) -> str:
        return f"{prefix}{next(self._numbers):08d}"


def contact_of(body: Json) -> str:
    """Return whom a posted message names: digits, or a business-scoped user id."""
    return str(body.get("to") or body.get("recipient") or "").removeprefix("+")
