"""Conversations: what was said with a contact, and until when it may be answered freely."""

from berrante.messaging.conversations.service import Conversation, Conversations, Place

__all__ = ["Conversation", "Conversations", "Place"]
