"""WhatsApp over Baileys: an unofficial client that lives in a Node process, the sidecar, and is reached over HTTP."""

from berrante.gateways.baileys.configuration import Configuration, JobOptions, of_tests
from berrante.gateways.baileys.errors import BaileysError, NodeMissing, NumberUnknown, SidecarAway, SidecarUninstalled
from berrante.gateways.baileys.gateway import BaileysGateway
from berrante.gateways.baileys.installation import install
from berrante.gateways.baileys.new_chats import IsCold
from berrante.gateways.baileys.process import SidecarProcess
from berrante.gateways.baileys.sidecars import NumberStatus, Sidecars

__all__ = [
    "BaileysError",
    "BaileysGateway",
    "Configuration",
    "IsCold",
    "JobOptions",
    "NodeMissing",
    "NumberStatus",
    "NumberUnknown",
    "SidecarAway",
    "SidecarProcess",
    "SidecarUninstalled",
    "Sidecars",
    "install",
    "of_tests",
]
