"""Instances: WhatsApp numbers."""

from berrante.messaging.instances.service import Instance, Instances

__all__ = ["Instance", "Instances"]
