"""Meta's Cloud API: what its webhooks bring in."""

from berrante.gateways.cloud.errors import CloudError, MalformedWebhook
from berrante.gateways.cloud.signature import digest_in, verify_signature
from berrante.gateways.cloud.webhook import parse

__all__ = ["CloudError", "MalformedWebhook", "digest_in", "parse", "verify_signature"]
