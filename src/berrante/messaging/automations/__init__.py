"""Automations: what answers a contact without a person."""

from berrante.messaging.automations.service import Automation, Automations

__all__ = ["Automation", "Automations"]
