"""Where a message comes from, and which priority that gives it in its number's lane."""

import enum

from berrante.messaging.queues import Priority


class Origin(enum.StrEnum):
    """Who wrote the message."""

    CONTACT = "contact"
    AUTOMATION = "automation"
    CAMPAIGN = "campaign"
    API = "api"

    @property
    def priority(self) -> Priority:
        """Return the priority: a person's live reply first, a campaign last."""
        match self:
            case Origin.AUTOMATION:
                return Priority.AUTOMATION
            case Origin.CAMPAIGN:
                return Priority.CAMPAIGN
            case _:
                return Priority.MESSAGE
