"""Berrante moves WhatsApp messages for many organizations at once, over queues that speak BullMQ's wire format."""

from importlib.metadata import version

__version__ = version("berrante")
__all__ = ["__version__"]
