"""The addresses of ``/health``. ``live`` and ``ready`` are for what starts and stops processes, the rest for people."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from berrante.web.health.check import Report
from berrante.web.health.process import VITAL, Health

router = APIRouter(prefix="/health", tags=["health"])
_DOWN: Final[dict[int | str, dict[str, Any]]] = {
    503: {
        "description": "It is down, and why.",
        "content": {
            "application/json": {
                "schema": {"type": "object", "additionalProperties": True},
                "example": {"status": "down", "reason": "no answer within 2000 ms"},
            }
        },
    }
}


@router.get("", summary="Everything", responses=_DOWN)
async def everything(request: Request, response: Response) -> Report:
    """Report all of it; 503 if any part is down."""
    health = _health(request)
    parts = await _reports(health, health.checks)
    status = "ok" if all(part["status"] == "ok" for part in parts.values()) else "down"
    return _answered({"status": status, **health.about(), **parts}, response)


@router.get("/live", summary="Does the process run")
async def live(request: Request, response: Response) -> Report:
    """Answer 200 as long as the process can answer: no engine that is away is mended by a restart of it."""
    return _answered({"status": "ok", **_health(request).about()}, response)


@router.get("/ready", summary="May it get work", responses=_DOWN)
async def ready(request: Request, response: Response) -> Report:
    """Answer 200 while Redis and the database do; 503 tells a balancer to send requests elsewhere for now."""
    parts = await _reports(_health(request), VITAL)
    shown = {name: {"status": part["status"]} for name, part in parts.items()}
    status = "ok" if all(part["status"] == "ok" for part in parts.values()) else "down"
    return _answered({"status": status, **shown}, response)


@router.get("/redis", summary="Redis", responses=_DOWN)
async def redis(request: Request, response: Response) -> Report:
    """Report latency, memory, persistence, eviction policy, and what should be mended."""
    return await _one(request, response, "redis")


@router.get("/database", summary="The database", responses=_DOWN)
async def database(request: Request, response: Response) -> Report:
    """Report latency, version, size, the tables' revision and this process's pool."""
    return await _one(request, response, "database")


@router.get("/queues", summary="The queues", responses=_DOWN)
async def queues(request: Request, response: Response) -> Report:
    """Report each queue's jobs by state, the longest wait, throughput, stalled jobs and workers."""
    return await _one(request, response, "queues")


@router.get("/gateways", summary="The ways to WhatsApp", responses=_DOWN)
async def gateways(request: Request, response: Response) -> Report:
    """Report each gateway's numbers and sends."""
    return await _one(request, response, "gateways")


@router.get("/media", summary="Where files are kept")
async def media(request: Request, response: Response) -> Report:
    """Report whether files can be stored and read, and where they are."""
    return await _one(request, response, "media")


async def _one(request: Request, response: Response, name: str) -> Report:
    return _answered(await _health(request).checks[name].report(), response)


async def _reports(health: Health, names: Iterable[str]) -> dict[str, Report]:
    wanted = list(names)
    reports = await asyncio.gather(*(health.checks[name].report() for name in wanted))
    return dict(zip(wanted, reports, strict=True))


def _health(request: Request) -> Health:
    health: Health = request.app.state.health
    return health


def _answered(report: Report, response: Response) -> Report:
    response.headers["Cache-Control"] = "no-store"
    if report["status"] != "ok":
        response.status_code = 503
    return report
