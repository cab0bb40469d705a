"""``/metrics`` in Prometheus' text format."""

import hmac

from fastapi import APIRouter, Request, Response

from berrante.engine.group_census import group_censuses
from berrante.engine.queue_state import queue_states
from berrante.messaging.queues import QueueName
from berrante.web.errors import WebError
from berrante.web.health.check import HealthCheck, Report
from berrante.web.services import Services

router = APIRouter(tags=["health"])

_UNGROUPED = (QueueName.DEAD_LETTER, QueueName.MAINTENANCE)
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Scrape:
    """Brings what is not counted as it happens up to date. ``private``: the port is not reachable from outside."""

    def __init__(self, of: Services, *, private: bool) -> None:
        self.private = private
        self._of = of
        timeout_ms = of.settings.health_timeout_ms
        self._queues = HealthCheck(self._ask_queues, timeout_ms=timeout_ms)
        self._database = HealthCheck(self._ask_database, timeout_ms=timeout_ms)

    async def text(self) -> bytes:
        """Return all metrics; what an engine that is away would have told is left out."""
        metrics = self._of.metrics
        queues, database = await self._queues.report(), await self._database.report()
        metrics.up.labels("redis").set(queues["status"] == "ok")
        metrics.up.labels("database").set(database["status"] == "ok")
        if queues["status"] != "ok":
            metrics.forget_queues()
        for state, number in self._of.database.pool()._asdict().items():
            metrics.pool.labels(state).set(number)
        return metrics.text()

    def cancel(self) -> None:
        """Leave no question open at the end of the process."""
        self._queues.cancel()
        self._database.cancel()

    async def _ask_queues(self) -> Report:
        names = list(QueueName)
        states = await queue_states([self._of.queues[name] for name in names])
        for name, state in zip(names, states, strict=True):
            self._of.metrics.queue_stands(name.value, state)
        grouped = [name for name in names if name not in _UNGROUPED]
        censuses = await group_censuses([self._of.queues[name] for name in grouped])
        self._of.metrics.groups_stand({name.value: each for name, each in zip(grouped, censuses, strict=True)})
        return {}

    async def _ask_database(self) -> Report:
        await self._of.database.ping()
        return {}


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Answer a scrape: with the token if one is set, else on the private port alone."""
    scrape: Scrape = request.app.state.scrape
    token = request.app.state.application.settings.metrics_token
    if token is None and not scrape.private:
        raise WebError(404, "not_found", "Not Found")
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if token is not None and not hmac.compare_digest(given.encode(), token.get_secret_value().encode()):
        challenge = {"WWW-Authenticate": "Bearer"}
        raise WebError(401, "unauthorized", "send the header 'Authorization: Bearer <token>'", headers=challenge)
    return Response(await scrape.text(), media_type=_TEXT, headers={"Cache-Control": "no-store"})
