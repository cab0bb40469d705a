"""Messages, both directions."""

from berrante.messaging.messages.service import Message, Messages
from berrante.messaging.messages.status import MessageStatus

__all__ = ["Message", "MessageStatus", "Messages"]
