"""What stands under each queue's name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

DESCRIPTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "message": "What came in: messages and receipts.",
        "automation": "Due steps of automations.",
        "campaign": "Campaigns at work, one message at a time.",
        "outbound": "Messages on their way out.",
        "dead-letter": "Jobs that failed for good, for people to retry or discard.",
        "maintenance": "What the service does for itself: reconciling, cleaning.",
    }
)
