"""The id that a request's row has, however often the request is made."""

import hashlib
from datetime import datetime
from uuid import UUID

from berrante.messaging.clock import milliseconds


def derived_id(organization_id: UUID, key: str, *, at: datetime) -> UUID:
    """Return an id made of the key and of the moment of its first use; of UUIDv7's form, so that it sorts by time.

    >>> from berrante.messaging.clock import moment
    >>> first = derived_id(UUID(int=1), "order-7", at=moment(0x0123456789AB))
    >>> first == derived_id(UUID(int=1), "order-7", at=moment(0x0123456789AB)), str(first)[:15], first.version
    (True, '01234567-89ab-7', 7)
    """
    digest = int.from_bytes(hashlib.sha256(f"{organization_id}\n{at.isoformat()}\n{key}".encode()).digest())
    ms = milliseconds(at)
    return UUID(int=ms << 80 | 0x7 << 76 | (digest & 0xFFF) << 64 | 0b10 << 62 | (digest >> 12) & (2**62 - 1))
