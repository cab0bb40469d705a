"""What organizations' programs can be told of, and which of it an endpoint asked for."""

import enum
from collections.abc import Sequence
from typing import Final

from berrante.messaging.errors import Invalid


class EventType(enum.StrEnum):
    """The events; ``docs/webhooks.md`` says what each carries."""

    MESSAGE_RECEIVED = "message.received"
    MESSAGE_STATUS = "message.status"
    MESSAGE_FAILED = "message.failed"
    CONTACT_OPTED_OUT = "contact.opted_out"
    INSTANCE_CONNECTED = "instance.connected"
    INSTANCE_DISCONNECTED = "instance.disconnected"
    INSTANCE_RESTRICTED = "instance.restricted"
    CAMPAIGN_STARTED = "campaign.started"
    CAMPAIGN_PAUSED = "campaign.paused"
    CAMPAIGN_RESUMED = "campaign.resumed"
    CAMPAIGN_CANCELLED = "campaign.cancelled"
    CAMPAIGN_FINISHED = "campaign.finished"
    AUTOMATION_RUN_FAILED = "automation.run_failed"
    WEBHOOK_DISABLED = "webhook.disabled"
    WEBHOOK_TEST = "webhook.test"


ALL: Final = "*"


def topics(event: EventType) -> list[str]:
    """Return all that an endpoint may have asked for to be told of an event.

    >>> topics(EventType.CAMPAIGN_STARTED)
    ['campaign.started', 'campaign.*', '*']
    """
    return [event.value, f"{event.value.split('.')[0]}.*", ALL]


_KNOWN: Final = frozenset(topic for event in EventType for topic in topics(event))


def subscribed(events: Sequence[str], *, field: str = "events") -> list[str]:
    """Return the events to subscribe to, each once; raises ``Invalid`` unless all are known and there is one.

    >>> subscribed(["message.*", "message.*"])
    ['message.*']
    """
    if not events:
        raise Invalid(field, "is empty", remedy="name the events, or give ['*'] for all")
    for event in events:
        if event not in _KNOWN:
            known = ", ".join(event.value for event in EventType)
            raise Invalid(field, f"has {event[:60]!r}", remedy=f"give '*', '<kind>.*' or some of {known}")
    return list(dict.fromkeys(events))
