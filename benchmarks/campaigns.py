"""Campaigns at size: ``python -m benchmarks.campaigns freeze [--contacts 1000000]``.

``freeze`` stores so many contacts in an embedded PostgreSQL (durable, as it is shipped), freezes them as the recipients
of a campaign in the batches that a tick makes, and says how long that took, with the size of Redis left out: a freeze
uses none.
"""

import argparse
import asyncio
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text

from berrante.embedded import EmbeddedPostgres
from berrante.messaging.campaigns.audience import Audience
from berrante.messaging.campaigns.content import Content, Shares
from berrante.messaging.campaigns.freezing import Plan, counts_by_reason, freeze_batch
from berrante.messaging.instances import Instances
from berrante.messaging.organizations import Organizations
from berrante.store import Database, migrate, new_id

_CONTACTS = text("""
    INSERT INTO contacts (id, organization_id, instance_id, address, name, fields, tags, consent, first_seen_at)
    SELECT uuidv7(), :organization_id, 'sales', '+55' || (11900000000 + n), 'Contact ' || n,
           jsonb_build_object('city', 'City ' || n % 100), ARRAY['list'],
           CASE WHEN n % 50 = 0 THEN 'opted_out' ELSE 'unknown' END, now() - interval '1 day'
      FROM generate_series(1, :contacts) n
""")
_CAMPAIGN = text("""
    INSERT INTO campaigns (id, organization_id, instance_id, name, content, audience, pace, status)
    VALUES (:id, :organization_id, 'sales', 'Bench', '{}', '{}', '{}', 'running')
""")


async def freeze(contacts: int) -> None:
    with tempfile.TemporaryDirectory(prefix="b-") as folder:
        os.chmod(folder, 0o711)  # noqa: PTH101  PostgreSQL runs as another user if we are root
        async with EmbeddedPostgres(Path(folder) / "postgres") as postgres:
            await migrate(postgres.url)
            database = Database(postgres.url)
            try:
                await _freeze(database, contacts)
            finally:
                await database.close()


async def _freeze(database: Database, contacts: int) -> None:
    organization = await Organizations(database).create("Bench")
    await Instances(database).create(organization_id=organization.id, id="sales")
    campaign_id = new_id()
    started = time.perf_counter()
    async with database.begin() as connection:
        await connection.execute(_CONTACTS, {"organization_id": organization.id, "contacts": contacts})
        await connection.execute(_CAMPAIGN, {"id": campaign_id, "organization_id": organization.id})
    async with database.begin() as connection:
        await connection.execute(text("ANALYZE contacts"))
    print(f"{contacts:,} contacts stored in {time.perf_counter() - started:.1f} s")
    content = Content.read({"variants": [{"name": "A", "text": "a"}, {"name": "B", "text": "b"}]})
    plan = Plan(
        organization_id=organization.id,
        campaign_id=campaign_id,
        audience=Audience.checked(segment='tag("list") and fields.city != "City 7"', rest_days=None),
        numbers=Shares((("sales", 1),)),
        variants=content.shares,
        at=datetime.now(UTC),
    )
    started = time.perf_counter()
    async with database.begin() as connection:
        counts = await counts_by_reason(connection, plan)
    print(f"preview in {time.perf_counter() - started:.1f} s: {counts}")
    started, cursor, position, slowest = time.perf_counter(), None, 0, 0.0
    while True:
        began = time.perf_counter()
        async with database.begin() as connection:
            done = await freeze_batch(connection, plan, cursor=cursor, position=position)
        slowest = max(slowest, time.perf_counter() - began)
        if done.cursor is None:
            break
        cursor, position = done.cursor, position + done.rows
    took = time.perf_counter() - started
    print(f"{position:,} recipients frozen in {took:.1f} s ({position / took:,.0f}/s), slowest batch {slowest:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description="Campaigns at size.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("freeze", help="Freeze the audience of one campaign.")
    command.add_argument("--contacts", type=int, default=1_000_000)
    given = parser.parse_args()
    asyncio.run(freeze(given.contacts))


if __name__ == "__main__":
    main()
