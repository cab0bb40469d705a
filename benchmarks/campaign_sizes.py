"""What a campaign costs by the number of its recipients: the freeze, a tick, and Redis' memory."""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from sqlalchemy import text

from berrante.embedded import EmbeddedPostgres, EmbeddedValkey
from berrante.engine import Connection, Job, Snooze
from berrante.gateways.simulator import Simulator
from berrante.messaging.campaigns import Campaigns
from berrante.messaging.campaigns.campaign import Campaign
from berrante.messaging.campaigns.freezing import Plan, freeze_batch
from berrante.messaging.campaigns.handler import CampaignHandler
from berrante.messaging.instances import Instances
from berrante.messaging.intake import Intake
from berrante.messaging.organizations import Organizations
from berrante.messaging.queues import Queues, open_queues
from berrante.store import Database, migrate

TICKS = 50
WINDOW = 100
_FASTEST = {"per_minute": 1_000_000, "jitter": 0, "window": WINDOW}
_CONTACTS = text("""
    INSERT INTO contacts (id, organization_id, instance_id, address, name, fields, tags, consent, first_seen_at)
    SELECT uuidv7(), :organization_id, 'n0', '+55' || (11900000000 + n), 'Contact ' || n,
           jsonb_build_object('city', 'City ' || n % 100), ARRAY['list'],
           CASE WHEN n % 50 = 0 THEN 'opted_out' ELSE 'unknown' END, now() - interval '1 day'
      FROM generate_series(1, :contacts) n
""")
_SEND = text("UPDATE messages SET status = 'sent', sent_at = now() WHERE status = 'queued'")


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """Both servers, and an organization with numbers ``n0``, ``n1`` …"""

    database: Database
    database_url: str
    queues: Queues
    redis: Redis
    redis_url: str
    organization_id: UUID
    folder: Path

    @property
    def campaigns(self) -> Campaigns:
        return Campaigns(self.database, self.queues)

    async def store_contacts(self, contacts: int) -> None:
        async with self.database.begin() as connection:
            given = {"organization_id": self.organization_id, "contacts": contacts}
            await connection.execute(_CONTACTS, given)
        async with self.database.begin() as connection:
            await connection.execute(text("ANALYZE contacts"))


@asynccontextmanager
async def world(*, numbers: int = 1) -> AsyncIterator[World]:
    with tempfile.TemporaryDirectory(prefix="b-") as folder:
        os.chmod(folder, 0o711)  # noqa: PTH101  PostgreSQL runs as another user if we are root
        async with (
            EmbeddedValkey(Path(folder) / "valkey") as valkey,
            EmbeddedPostgres(Path(folder) / "postgres") as postgres,
            Connection.from_url(valkey.url) as connection,
        ):
            await migrate(postgres.url)
            database = Database(postgres.url)
            try:
                organization = await Organizations(database).create("Bench")
                for number in range(numbers):
                    await Instances(database).create(organization_id=organization.id, id=f"n{number}")
                yield World(
                    database=database,
                    database_url=postgres.url,
                    queues=open_queues(connection, prefix="bull"),
                    redis=connection.redis,
                    redis_url=valkey.url,
                    organization_id=organization.id,
                    folder=Path(folder),
                )
            finally:
                await database.close()


async def _started(there: World, *, contacts: int, pace: dict[str, Any]) -> Campaign:
    await there.store_contacts(contacts)
    campaign = await there.campaigns.create(
        organization_id=there.organization_id,
        instance_id="n0",
        name="Bench",
        body="{Olá|Oi} {{ name }}, há novidades em {{ fields.city }}!",
        segment='tag("list")',
        pace=pace,
    )
    await there.campaigns.start(there.organization_id, campaign.id)
    return campaign


async def freeze(contacts: int) -> dict[str, Any]:
    """Freeze an audience."""
    async with world() as there:
        campaign = await _started(there, contacts=contacts, pace=dict(_FASTEST))
        plan = Plan(
            organization_id=there.organization_id,
            campaign_id=campaign.id,
            audience=campaign.audience,
            numbers=campaign.shares,
            variants=campaign.content.shares,
            at=datetime.now(UTC),
        )
        started, cursor, position, slowest = time.perf_counter(), None, 0, 0.0
        while True:
            began = time.perf_counter()
            async with there.database.begin() as connection:
                done = await freeze_batch(connection, plan, cursor=cursor, position=position)
            slowest = max(slowest, time.perf_counter() - began)
            if done.cursor is None:
                break
            cursor, position = done.cursor, position + done.rows
        return {
            "contacts": contacts,
            "recipients": position,
            "took_s": round(time.perf_counter() - started, 1),
            "slowest_batch_s": round(slowest, 2),
            "load_average": os.getloadavg()[0],
        }


async def ticks(sizes: Sequence[int]) -> dict[str, Any]:
    """Tick, and weigh Redis with a full window, at each size."""
    return {str(contacts): await _ticks(contacts) for contacts in sizes}


async def _ticks(contacts: int) -> dict[str, Any]:
    async with world() as there:
        handler = CampaignHandler(
            database=there.database,
            queues=there.queues,
            gateways={"simulator": Simulator(Intake(there.queues))},
            clock=lambda: time.time_ns() // 1_000_000,
        )
        campaign = await _started(there, contacts=contacts, pace=dict(_FASTEST))
        job = await there.queues.campaign.get(f"campaign-{campaign.id}")
        assert job is not None
        await _filled(there, handler, job)
        held = await _bytes(there.redis)
        written, took = 0, []
        for _ in range(min(TICKS, contacts // WINDOW - 2)):
            written += await _sent(there)
            await asyncio.sleep(0.01)  # in which more slots come than the window has room for
            began = time.perf_counter()
            await handler(job)
            took.append((time.perf_counter() - began) * 1_000)
    return {
        "redis_bytes": held,
        "window": WINDOW,
        "tick_p50_ms": round(statistics.median(took), 1),
        "tick_max_ms": round(max(took), 1),
        "written": written,
    }


async def _filled(there: World, handler: CampaignHandler, job: Job) -> None:
    """Tick until the audience is frozen and the number's lane holds a window."""
    while True:
        outcome = await handler(job)
        if sum((await there.queues.outbound.counts()).values()) >= WINDOW:
            return
        assert isinstance(outcome, Snooze)


async def _sent(there: World) -> int:
    """Have what waits sent, as its worker would leave it."""
    async with there.database.begin() as connection:
        sent = await connection.execute(_SEND)
    return sent.rowcount


async def _bytes(redis: Redis) -> int:
    """Return what all keys take."""
    total = 0
    async for key in redis.scan_iter(count=1_000):
        total += await redis.memory_usage(key, samples=0) or 0
    return total
