"""API keys of organizations."""

from berrante.messaging.api_keys.service import ApiKey, ApiKeys

__all__ = ["ApiKey", "ApiKeys"]
