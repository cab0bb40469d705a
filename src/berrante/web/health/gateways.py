"""How the ways to WhatsApp stand, as far as this process knows."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from sqlalchemy import func, select

from berrante.gateways.protocol import Gateway
from berrante.messaging.instances.models import instances
from berrante.store import Database
from berrante.telemetry import Metrics
from berrante.web.health.check import Report

Told = Callable[[], Awaitable[Mapping[str, Any]]]


async def gateway_report(gateways: Mapping[str, Gateway], database: Database, metrics: Metrics) -> Report:
    """Report each gateway's numbers and what its sends came to here; raises if one that can tell says it is down."""
    async with database.platform(because="the operator's health counts the numbers of all organizations") as connection:
        counting = select(instances.c.gateway, func.count().label("number")).group_by(instances.c.gateway)
        numbers: dict[str, int] = {row.gateway: row.number for row in await connection.execute(counting)}
    names = sorted({*gateways, *numbers})
    told = await asyncio.gather(*(_told(gateways.get(name)) for name in names))
    return {
        "gateways": {
            name: {"set_up": name in gateways, "instances": numbers.get(name, 0), "sends": metrics.sends(name), **more}
            for name, more in zip(names, told, strict=True)
        }
    }


async def _told(gateway: Gateway | None) -> Mapping[str, Any]:
    """Ask a gateway that has ``health()``; it raises if it is down."""
    health = cast("Told | None", getattr(gateway, "health", None))
    return await health() if health is not None else {}
