"""What became of a message and when, from the times that its row keeps: exact for every time that was told to us."""

from dataclasses import dataclass
from datetime import datetime

from berrante.messaging.messages.service import Message
from berrante.messaging.messages.status import MessageStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusChange:
    """A status, and since when."""

    status: MessageStatus
    at: datetime


def history(message: Message) -> list[StatusChange]:
    """Return a message's statuses in order of their ranks; the last is the one that holds.

    A status that WhatsApp never told of is not there, even if a later one is: ``read`` may come without ``delivered``.
    """
    first = MessageStatus.RECEIVED if message.direction == "in" else MessageStatus.QUEUED
    # An incoming message's sent_at is when the contact wrote it, by WhatsApp's clock.
    if message.direction == "in":
        return [StatusChange(status=first, at=message.created_at)]
    times = {
        first: message.created_at,
        MessageStatus.SENT: message.sent_at,
        MessageStatus.DELIVERED: message.delivered_at,
        MessageStatus.READ: message.read_at,
    }
    if times.get(message.status) is None:
        times[message.status] = message.updated_at
    ranked = list(MessageStatus)
    return [
        StatusChange(status=status, at=at)
        for status, at in sorted(times.items(), key=lambda each: ranked.index(each[0]))
        if at is not None
    ]
