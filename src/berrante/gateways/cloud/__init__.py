"""Meta's Cloud API: messages out, webhooks in."""

from berrante.gateways.cloud.credentials import GRAPH_URL, GRAPH_VERSION, CloudNumber, Credentials
from berrante.gateways.cloud.errors import CloudError, MalformedWebhook
from berrante.gateways.cloud.gateway import CloudGateway
from berrante.gateways.cloud.graph import Graph
from berrante.gateways.cloud.signature import digest_in, verify_signature
from berrante.gateways.cloud.webhook import parse

__all__ = [
    "GRAPH_URL",
    "GRAPH_VERSION",
    "CloudError",
    "CloudGateway",
    "CloudNumber",
    "Credentials",
    "Graph",
    "MalformedWebhook",
    "digest_in",
    "parse",
    "verify_signature",
]
