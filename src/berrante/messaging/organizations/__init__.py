"""Organizations: the tenants."""

from berrante.messaging.organizations.service import Organization, Organizations

__all__ = ["Organization", "Organizations"]
