"""``/health``: whether what the service stands on answers, in what state it is, and within what time."""

from berrante.web.health.process import Health
from berrante.web.health.queues import counts
from berrante.web.health.routes import router

__all__ = ["Health", "counts", "router"]
