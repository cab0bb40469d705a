"""What webhooks brought."""

from berrante.messaging.webhooks.service import WebhookUnknowns

__all__ = ["WebhookUnknowns"]
