"""An organization, a simulated number and workers, for the time of one smoke test."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete

from berrante.app.application import Application
from berrante.app.options import WORKED
from berrante.app.smoke.checking import remove_keys
from berrante.gateways.simulator import Latency
from berrante.messaging.instances import Instance
from berrante.messaging.organizations.models import organizations
from berrante.messaging.queues import QueueName
from berrante.settings import Settings

#: Not the reconciler: it looks at every organization's rows, and would add their jobs under our prefix.
_WORKED: Final = tuple(name for name in WORKED if name is not QueueName.MAINTENANCE)
_LATENCY: Final = Latency(sent=(5, 20), delivered=(20, 60), read=(50, 150))


class Stage:
    """What a smoke test plays on."""

    def __init__(self, application: Application, instance: Instance) -> None:
        self.application = application
        self.instance = instance
        self.organization_id = instance.organization_id

    def contact(self, number: int) -> str:
        """Return the address of a simulated contact."""
        return f"+5511990{number:06d}"

    async def forget(self, organization_id: UUID) -> None:
        """Remove an organization with all that is its own."""
        async with self.application.database.begin() as connection:
            await connection.execute(delete(organizations).where(organizations.c.id == organization_id))

    def write(self, sender: str, text: str) -> None:
        """Let a contact write."""
        self.application.simulator.write(
            organization_id=self.organization_id, instance_id=self.instance.id, sender=sender, text=text
        )


@asynccontextmanager
async def open_stage(settings: Settings, **changed: Any) -> AsyncIterator[Stage]:  # noqa: ANN401  settings' fields
    """Open a stage on the configured engines with some settings changed; no row and no key of it stays behind.

    Raises what ends a worker, and what ``Application.open`` raises.
    """
    prefix = f"{settings.queue_prefix}-smoke-{secrets.token_hex(6)}"  # on a cluster, in the same cell
    settings = settings.model_copy(update={"queue_prefix": prefix, "stop_deadline_ms": 2_000, **changed})
    async with Application.open(settings, latency_ms=_LATENCY) as application:
        organization = await application.organizations.create(f"Smoke test {prefix[-12:]}")
        stop = asyncio.Event()
        working: asyncio.Task[None] | None = None
        try:
            instance = await application.instances.create(
                organization_id=organization.id, id=f"smoke-{prefix[-12:]}", gateway=application.simulator.name
            )
            working = asyncio.create_task(application.run_workers(_WORKED, until=stop))
            yield Stage(application, instance)
        finally:
            stop.set()
            try:
                if working is not None:
                    await working
            finally:
                async with application.database.begin() as connection:
                    await connection.execute(delete(organizations).where(organizations.c.id == organization.id))
                await remove_keys(application.connection, prefix)
