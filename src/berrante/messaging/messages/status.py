"""What becomes of a message: statuses, and which of two holds."""

import enum
from typing import Final

from berrante.gateways.protocol import ReceiptStatus


class MessageStatus(enum.StrEnum):
    """Incoming messages are ``received``; the others are an outgoing message's, from lowest to highest rank."""

    RECEIVED = "received"
    QUEUED = "queued"
    SENDING = "sending"
    IN_DOUBT = "in_doubt"
    SENT = "sent"
    SKIPPED = "skipped"
    FAILED = "failed"
    DELIVERED = "delivered"
    READ = "read"


#: Failed outranks sent, since WhatsApp accepts before it delivers; delivered outranks failed, since one of a contact's
#: devices may fail before another succeeds. Whoever sees "delivered" has seen the message.
_RANKS: Final = {status: rank for rank, status in enumerate(MessageStatus)}

#: An outgoing message of which more is to come by our own doing.
OPEN: Final = frozenset({MessageStatus.QUEUED, MessageStatus.SENDING})


def later(current: MessageStatus, news: MessageStatus) -> MessageStatus:
    """Return which of two statuses of an outgoing message holds, whichever was heard first.

    >>> later(MessageStatus.READ, MessageStatus.DELIVERED)
    <MessageStatus.READ: 'read'>
    """
    return max(current, news, key=_RANKS.__getitem__)


def below(status: MessageStatus) -> frozenset[MessageStatus]:
    """Return the statuses that ``status`` replaces."""
    return frozenset(other for other in MessageStatus if _RANKS[other] < _RANKS[status])


def from_receipt(status: ReceiptStatus) -> MessageStatus:
    """Return the message's status that a receipt speaks of."""
    return MessageStatus(status.value)
