"""A campaign's way out, with real processes: sends a second, and the wait of who is answered meanwhile."""

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any
from uuid import UUID

from sqlalchemy import text

from benchmarks.campaign_sizes import World, world
from benchmarks.delivery import percentile
from benchmarks.processes import berrante
from berrante.gateways.simulator import Simulator
from berrante.messaging.intake import Intake
from berrante.messaging.outbound.service import Outbound

_WITHIN_S = 600.0
_QUEUES = ("campaign", "outbound", "message", "maintenance")
_UNPACED = {"BERRANTE_OUTBOUND_RATE_MAX": "0", "BERRANTE_MESSAGE_RATE_MAX": "0", "BERRANTE_LOG_LEVEL": "warning"}
#: Sent before anything is measured: a database that was never analyzed plans by guesses for its first minute.
_WARM = 2_000
_SPAN = text("""
    SELECT count(*) AS sent, count(DISTINCT m.contact_id) AS people,
           extract(epoch FROM max(m.sent_at) - min(m.sent_at)) AS took_s
      FROM messages m JOIN campaign_recipients r ON r.message_id = m.id
     WHERE r.campaign_id = :campaign AND m.sent_at IS NOT NULL
""")
_LATENCIES = text("""
    SELECT extract(epoch FROM sent_at - created_at) * 1000 AS ms
      FROM messages WHERE origin = 'api' AND sent_at IS NOT NULL
""")


def _worker(there: World, number: int, **settings: str) -> AbstractAsyncContextManager[None]:
    environment = {
        **os.environ,
        **_UNPACED,
        "REDIS_URL": there.redis_url,
        "DATABASE_URL": there.database_url,
        "BERRANTE_DATA_DIR": str(there.folder / f"worker-{number}"),
        "BERRANTE_SECRET_KEY": "k" * 32,
        **settings,
    }
    return berrante(environment, "worker", *_QUEUES)


async def sends(recipients: int, *, processes: Sequence[int], numbers: int) -> dict[str, Any]:
    """Send one campaign for each number of processes."""
    found: dict[str, Any] = {"recipients": recipients, "numbers": numbers, "load_average": os.getloadavg()[0]}
    for count in processes:
        async with world(numbers=numbers) as there:
            found[f"{count}_per_s"] = await _sends(there, recipients, processes=count, numbers=numbers)
    return found


async def _sends(there: World, recipients: int, *, processes: int, numbers: int) -> int:
    async with AsyncExitStack() as working:
        for number in range(processes):
            # As many at once as four windows hold: a send waits for two commits, and they are shared.
            await working.enter_async_context(_worker(there, number, BERRANTE_OUTBOUND_CONCURRENCY="500"))
        await _campaign(there, _WARM, first=70_000_000, numbers=numbers)
        async with there.database.begin() as connection:
            await connection.execute(text("ANALYZE"))
        took_s = await _campaign(there, recipients, first=80_000_000, numbers=numbers)
    return round(recipients / took_s)


async def _campaign(there: World, recipients: int, *, first: int, numbers: int) -> float:
    """Send a campaign; returns the seconds from its first send to its last."""
    campaign = await there.campaigns.create(
        organization_id=there.organization_id,
        instance_id=[f"n{number}" for number in range(numbers)],
        name="Bench",
        body="{Olá|Oi}, há novidades!",
        recipients=[f"+55119{first + index}" for index in range(recipients)],
        pace={"per_minute": 1_000_000, "jitter": 0, "window": 500},
    )
    await there.campaigns.start(there.organization_id, campaign.id)
    deadline = time.monotonic() + _WITHIN_S
    while True:
        async with there.database.begin() as connection:
            row = (await connection.execute(_SPAN, {"campaign": campaign.id})).one()
        if row.sent >= recipients:
            break
        if time.monotonic() > deadline:
            raise RuntimeError(f"{row.sent} of {recipients} are sent")
        await asyncio.sleep(0.5)
    if row.sent != recipients or row.people != recipients:
        raise RuntimeError(f"{row.sent} sent to {row.people} of {recipients} people")
    return float(row.took_s)


async def replies(count: int, *, gap_ms: int) -> dict[str, Any]:
    """Answer people while a campaign of which thousands wait goes out by the same number."""
    async with world() as there:
        campaign = await there.campaigns.create(
            organization_id=there.organization_id,
            instance_id="n0",
            name="Bench",
            body="{Olá|Oi}, há novidades!",
            recipients=[f"+55119{80_000_000 + index}" for index in range(20_000)],
            pace={"per_minute": 1_000_000, "jitter": 0, "window": 100},
        )
        await there.campaigns.start(there.organization_id, campaign.id)
        outbound = Outbound(there.database, there.queues, {"simulator": Simulator(Intake(there.queues))})
        paced = {"BERRANTE_OUTBOUND_RATE_MAX": "1", "BERRANTE_OUTBOUND_RATE_DURATION_MS": str(gap_ms)}
        async with _worker(there, 0, **paced):
            await _going(there, campaign.id)
            for index in range(count):
                await outbound.send(
                    organization_id=there.organization_id,
                    instance_id="n0",
                    to=f"+55119{70_000_000 + index}",
                    text="Está a caminho.",
                )
                await asyncio.sleep(gap_ms * 3 / 1_000)  # a third of the number's slots are for replies
            waits = await _all_sent(there, count)
        async with there.database.begin() as connection:
            sent = (await connection.execute(_SPAN, {"campaign": campaign.id})).one().sent
    return {
        "gap_ms": gap_ms,
        "replies": count,
        "reply_p50_ms": round(percentile(waits, 0.5), 1),
        "reply_p99_ms": round(percentile(waits, 0.99), 1),
        "campaign_sent_meanwhile": sent,
        "load_average": os.getloadavg()[0],
    }


async def _going(there: World, campaign_id: UUID) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while True:
        async with there.database.begin() as connection:
            if (await connection.execute(_SPAN, {"campaign": campaign_id})).one().sent >= 20:
                return
        if time.monotonic() > deadline:
            raise RuntimeError("the campaign does not go out")
        await asyncio.sleep(0.1)


async def _all_sent(there: World, count: int) -> list[float]:
    deadline = time.monotonic() + _WITHIN_S
    while True:
        async with there.database.begin() as connection:
            waits = [float(row.ms) for row in await connection.execute(_LATENCIES)]
        if len(waits) >= count:
            return waits
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(waits)} of {count} replies are sent")
        await asyncio.sleep(0.1)
