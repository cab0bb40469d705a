"""Instances: WhatsApp numbers."""

from berrante.messaging.instances.service import Instance, Instances, SettingsHook
from berrante.messaging.instances.settings import InstanceSettings, QuietHours, WarmUp

__all__ = ["Instance", "InstanceSettings", "Instances", "QuietHours", "SettingsHook", "WarmUp"]
