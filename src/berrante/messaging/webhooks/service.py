"""Counts what webhooks brought and we do not understand: nothing disappears unseen."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from berrante.messaging.fields import storable
from berrante.messaging.webhooks.models import webhook_unknowns
from berrante.store import Database


class WebhookUnknowns:
    """The counts of one platform, by instance and kind."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self, organization_id: UUID, instance_id: str, kinds: Mapping[str, int]) -> None:
        """Add to the counts; kinds are cut at 200 characters, since whoever calls the webhook chooses them."""
        # In one order everywhere: two calls that lock the same rows crosswise would wait for each other.
        rows = [
            {
                "organization_id": organization_id,
                "instance_id": instance_id,
                "kind": kind,
                "count": number,
            }
            for kind, number in sorted(_merged(kinds).items())
        ]
        if not rows:
            return
        statement = insert(webhook_unknowns).values(rows)
        statement = statement.on_conflict_do_update(
            index_elements=["instance_id", "kind"],
            set_={"count": webhook_unknowns.c.count + statement.excluded.count},
        )
        async with self._database.tenant(organization_id) as connection:
            await connection.execute(statement)

    async def list(self, organization_id: UUID, instance_id: str) -> dict[str, int]:
        """Return the counts of an organization's instance."""
        query = (
            select(webhook_unknowns.c.kind, webhook_unknowns.c.count)
            .where(webhook_unknowns.c.organization_id == organization_id, webhook_unknowns.c.instance_id == instance_id)
            .order_by(webhook_unknowns.c.kind)
        )
        async with self._database.tenant(organization_id) as connection:
            return {row.kind: int(row._mapping["count"]) for row in await connection.execute(query)}


def _merged(kinds: Mapping[str, int]) -> dict[str, int]:
    merged: dict[str, int] = {}
    for kind, number in kinds.items():
        if number > 0:
            short = storable(kind)[:200]
            merged[short] = merged.get(short, 0) + number
    return merged
