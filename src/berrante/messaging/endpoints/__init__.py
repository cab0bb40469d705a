"""Webhook endpoints: what organizations' programs are told, where, and whether it arrived.

Not here: ``messaging/webhooks``, which counts what WhatsApp's own webhooks brought.
"""

from berrante.messaging.endpoints.deliveries import Deliveries, Delivery
from berrante.messaging.endpoints.emitting import Happening, Told, emit, emit_all, enqueue
from berrante.messaging.endpoints.events import EventType
from berrante.messaging.endpoints.sending import Sender
from berrante.messaging.endpoints.service import Endpoint, Endpoints

__all__ = [
    "Deliveries",
    "Delivery",
    "Endpoint",
    "Endpoints",
    "EventType",
    "Happening",
    "Sender",
    "Told",
    "emit",
    "emit_all",
    "enqueue",
]
