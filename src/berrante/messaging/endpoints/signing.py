"""Signatures: who holds the secret can tell that the bytes are ours, and are not old ones sent again."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final
from uuid import UUID

_MARK: Final = "brt_whsec_"


def new_secret() -> str:
    """Make a secret of 256 random bits."""
    return _MARK + secrets.token_urlsafe(32)


def signature(secret: str, *, delivery_id: UUID, timestamp_s: int, body: bytes) -> str:
    """Return ``v1=`` and the hexadecimal HMAC-SHA256, under the secret, of ``id.timestamp.body``.

    >>> signature("s", delivery_id=UUID(int=1), timestamp_s=1_800_000_000, body=b"{}")[:11]
    'v1=0e528970'
    """
    signed = f"{delivery_id}.{timestamp_s}.".encode() + body
    return "v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def headers(
    keys: Sequence[str], *, delivery_id: UUID, event: str, timestamp_s: int, attempt: int, body: bytes
) -> dict[str, str]:
    """Return a delivery's headers; with several keys, as during a rotation, there is one signature for each."""
    signatures = [signature(key, delivery_id=delivery_id, timestamp_s=timestamp_s, body=body) for key in keys]
    return {
        "Content-Type": "application/json",
        "Berrante-Id": str(delivery_id),
        "Berrante-Event": event,
        "Berrante-Timestamp": str(timestamp_s),
        "Berrante-Attempt": str(attempt),
        "Berrante-Signature": ",".join(signatures),
    }
