"""What is told of a contact."""

from datetime import datetime
from uuid import UUID

from berrante.messaging.endpoints.emitting import Happening
from berrante.messaging.endpoints.events import EventType


def opted_out(
    *,
    organization_id: UUID,
    instance_id: str,
    contact_id: UUID,
    address: str,
    source: str,
    text: str | None,
    at: datetime,
) -> Happening:
    """Return what is told of a contact that wants no campaigns any more; ``text`` holds its own words."""
    data = {
        "contact_id": str(contact_id),
        "instance_id": instance_id,
        "address": address,
        "source": source,
        "text": text,
        "at": at.isoformat(),
    }
    return Happening(organization_id=organization_id, event=EventType.CONTACT_OPTED_OUT, data=data)
