"""How a gateway that can show a contact that we read, and that we write, says so."""

from typing import Protocol, cast
from uuid import UUID


class MarksRead(Protocol):
    """A gateway over which a contact's message can be marked as read. Marking it again changes nothing."""

    async def mark_read(
        self, *, organization_id: UUID, instance_id: str, message_id: str, typing: bool = False
    ) -> None:
        """Show the contact that its message was read (``message_id`` is WhatsApp's own), and with it all before.

        With ``typing`` the contact sees that we write, for a while. Raises as ``Gateway.send`` does.
        """
        ...


def marks_read(gateway: object) -> MarksRead | None:
    """Return the gateway if it marks messages at all, also one in a wrapper that passes calls on."""
    return cast("MarksRead", gateway) if callable(getattr(gateway, "mark_read", None)) else None
