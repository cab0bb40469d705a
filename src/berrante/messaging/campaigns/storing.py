"""Stores a new campaign: its row, its numbers, and the list that it is for."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.campaigns.audience import Entry
from berrante.messaging.campaigns.models import campaign_entries, campaign_numbers, campaigns

_CHUNK: Final = 5_000


async def store(
    connection: AsyncConnection, row: Mapping[str, Any], numbers: Sequence[tuple[str, int]], lines: Sequence[Entry]
) -> None:
    """Insert all of it, in the caller's transaction."""
    await connection.execute(insert(campaigns).values(row))
    own = {"campaign_id": row["id"], "organization_id": row["organization_id"]}
    await connection.execute(
        insert(campaign_numbers),
        [own | {"instance_id": each, "place": place, "weight": weight} for place, (each, weight) in enumerate(numbers)],
    )
    for start in range(0, len(lines), _CHUNK):
        chunk = [
            own | {"position": position, "address": line.address, "params": dict(line.params)}
            for position, line in enumerate(lines[start : start + _CHUNK], start)
        ]
        await connection.execute(insert(campaign_entries), chunk)
