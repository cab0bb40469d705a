"""Conversations: what was said with a contact, until when it may be answered freely, and that it was read."""

from berrante.messaging.conversations.marking import ReadMarks
from berrante.messaging.conversations.service import Conversation, Conversations, Place

__all__ = ["Conversation", "Conversations", "Place", "ReadMarks"]
