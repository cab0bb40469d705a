"""Whether files can be kept."""

from berrante.gateways.media import MediaStore
from berrante.web.health.check import Report


async def media_report(store: MediaStore) -> Report:
    """Report what keeps files, and where; raises with the remedy if it is away."""
    return {"store": store.name, "where": await store.check()}
