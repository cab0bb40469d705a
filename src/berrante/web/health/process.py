"""The checks of one process."""

import time
from typing import Final

from berrante import __version__
from berrante.web.health.check import HealthCheck, Report
from berrante.web.health.database import database_report
from berrante.web.health.gateways import gateway_report
from berrante.web.health.media import media_report
from berrante.web.health.queues import queue_report
from berrante.web.health.redis import redis_report
from berrante.web.services import Services

#: What must answer for the process to be of use.
VITAL: Final = ("redis", "database")


class Health:
    """All checks of a process; each is asked once at a time, however many want to know."""

    def __init__(self, of: Services) -> None:
        self._started = time.monotonic()
        timeout_ms = of.settings.health_timeout_ms
        self.checks = {
            "redis": HealthCheck(lambda: redis_report(of.connection), timeout_ms=timeout_ms),
            "database": HealthCheck(lambda: database_report(of.database), timeout_ms=timeout_ms),
            "queues": HealthCheck(lambda: queue_report(of.queues), timeout_ms=timeout_ms),
            "media": HealthCheck(lambda: media_report(of.media), timeout_ms=timeout_ms),
            "gateways": HealthCheck(
                lambda: gateway_report(of.gateways, of.database, of.metrics), timeout_ms=timeout_ms
            ),
        }

    def about(self) -> Report:
        """Return what holds while the process lives at all."""
        return {"version": __version__, "uptime_s": round(time.monotonic() - self._started, 1)}

    def cancel(self) -> None:
        """Leave no question open at the end of the process."""
        for check in self.checks.values():
            check.cancel()
