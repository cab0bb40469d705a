"""``/health``: whether Redis, the database and the queues answer, and within what time.

A server that hangs makes these answer 503, not hang along.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from berrante import __version__
from berrante.engine import Queue, State
from berrante.messaging.queues import QueueName, Queues
from berrante.telemetry import scrubbed
from berrante.web.services import Services

router = APIRouter(tags=["health"])

Report = dict[str, Any]
_SHOWN: Final = 300


class HealthCheck:
    """One question to an engine, asked by one caller at a time however many want to know.

    A question that is not answered in time is left to end by itself (its socket has a time-out of its own) and not
    asked again meanwhile: a server that hangs gets no heap of connections on top.
    """

    def __init__(self, ask: Callable[[], Awaitable[Report]], *, timeout_ms: int) -> None:
        self._ask = ask
        self._timeout_ms = timeout_ms
        self._asking: asyncio.Task[Report] | None = None

    async def report(self) -> Report:
        """Return ``{"status": "ok", "latency_ms", …}``, or ``{"status": "down", "reason"}``."""
        started = time.perf_counter()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._asked())
        done, _ = await asyncio.wait({self._asking}, timeout=self._timeout_ms / 1_000)
        if not done:
            return {"status": "down", "reason": f"no answer within {self._timeout_ms} ms"}
        return {"latency_ms": round((time.perf_counter() - started) * 1_000, 1), **self._asking.result()}

    def cancel(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()

    async def _asked(self) -> Report:
        try:
            return {"status": "ok", **await self._ask()}
        except Exception as error:  # noqa: BLE001  whatever it raises is the reason why it is down
            return {"status": "down", "reason": scrubbed(str(error) or type(error).__name__)[:_SHOWN]}


class Health:
    """The three checks of a process."""

    def __init__(self, of: Services) -> None:
        async def ask_redis() -> Report:
            await of.connection.ping()
            return {}

        async def ask_database() -> Report:
            await of.database.ping()
            return {}

        async def ask_queues() -> Report:
            return {"queues": await counts(of.queues)}

        timeout_ms = of.settings.health_timeout_ms
        self.redis = HealthCheck(ask_redis, timeout_ms=timeout_ms)
        self.database = HealthCheck(ask_database, timeout_ms=timeout_ms)
        self.queues = HealthCheck(ask_queues, timeout_ms=timeout_ms)

    def cancel(self) -> None:
        """Leave no question open at the end of the process."""
        for check in (self.redis, self.database, self.queues):
            check.cancel()


async def counts(queues: Queues) -> dict[str, Report]:
    """Return how many jobs each queue has in each state, and whether it is paused."""
    names = list(QueueName)
    reports = await asyncio.gather(*(_report(queues[name]) for name in names))
    return {name.value: report for name, report in zip(names, reports, strict=True)}


async def _report(queue: Queue) -> Report:
    numbers = await queue.counts()
    # Berrante's jobs have no children; Bull Board shows the state all the same.
    shown = {state.value: number for state, number in numbers.items() if state is not State.WAITING_CHILDREN or number}
    return {**shown, "paused": await queue.is_paused()}


@router.get("/health", summary="Everything")
async def everything(request: Request, response: Response) -> Report:
    """Report all of it; 503 if any part is down."""
    health = _health(request)
    redis, database, queues = await asyncio.gather(
        health.redis.report(), health.database.report(), health.queues.report()
    )
    whole: Report = {
        "status": "ok" if all(part["status"] == "ok" for part in (redis, database, queues)) else "down",
        "version": __version__,
        "redis": redis,
        "database": database,
        "queues": queues,
    }
    return _answered(whole, response)


@router.get("/health/redis", summary="Redis")
async def redis(request: Request, response: Response) -> Report:
    """Report whether Redis answers."""
    return _answered(await _health(request).redis.report(), response)


@router.get("/health/database", summary="The database")
async def database(request: Request, response: Response) -> Report:
    """Report whether PostgreSQL answers."""
    return _answered(await _health(request).database.report(), response)


@router.get("/health/queues", summary="The queues")
async def queues(request: Request, response: Response) -> Report:
    """Count the jobs of each queue by state."""
    return _answered(await _health(request).queues.report(), response)


def _health(request: Request) -> Health:
    health: Health = request.app.state.health
    return health


def _answered(report: Report, response: Response) -> Report:
    response.headers["Cache-Control"] = "no-store"
    if report["status"] != "ok":
        response.status_code = 503
    return report
