"""One process of the service, wired: the one place where every part is made and knows of the others."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from berrante.app.encryption import cipher_of
from berrante.app.engines import Engines, open_engines
from berrante.app.observing import observed
from berrante.app.options import WORKED, job_options, worker_options
from berrante.app.reaching import reach
from berrante.engine import Connection, Worker
from berrante.gateways.cloud import CloudGateway
from berrante.gateways.media import FolderMediaStore
from berrante.gateways.simulator import Latency, Simulator
from berrante.messaging.api_keys import ApiKeys
from berrante.messaging.automations import Automations
from berrante.messaging.campaigns import Campaigns
from berrante.messaging.cloud_numbers import CloudNumbers
from berrante.messaging.handlers import handlers
from berrante.messaging.instances import Instances
from berrante.messaging.instances.sealing import seal_all
from berrante.messaging.intake import Intake
from berrante.messaging.messages import Messages
from berrante.messaging.organizations import Organizations
from berrante.messaging.outbound.service import Outbound
from berrante.messaging.people import People
from berrante.messaging.queues import QueueName, open_queues
from berrante.messaging.reconciler import schedule_reconciler
from berrante.messaging.webhooks import WebhookUnknowns
from berrante.settings import Settings
from berrante.store import Database
from berrante.telemetry import events, log_notice

if TYPE_CHECKING:
    from berrante.gateways.protocol import Gateway


_UNREADABLE: Final = "for unreadable ones add their key to BERRANTE_ENCRYPTION_KEY, or set them anew"


class Application:
    """Everything that a process needs; ``Application.open`` makes it and closes it.

    Example::

        async with Application.open(settings) as application:
            await application.run_workers(WORKED, until=stop)
    """

    def __init__(
        self,
        settings: Settings,
        *,
        engines: Engines,
        database: Database,
        connection: Connection,
        latency_ms: Latency | int | None = None,
    ) -> None:
        self.settings = settings
        self.engines = engines
        self.database = database
        self.connection = connection
        self.queues = open_queues(connection, prefix=settings.queue_prefix, options=job_options(settings))
        self.intake = Intake(self.queues)
        self.simulator = Simulator(self.intake, clock=connection.now_ms, latency_ms=latency_ms)
        self.cloud_numbers = CloudNumbers(database, clock=connection.now_ms)
        self.media = FolderMediaStore(settings.media_dir or settings.data_dir / "media")
        self.cloud = CloudGateway(self.cloud_numbers, self.media, clock=connection.now_ms)
        self.gateways: dict[str, Gateway] = {self.simulator.name: self.simulator, self.cloud.name: self.cloud}
        self.organizations = Organizations(database)
        self.people = People(database)
        self.instances = Instances(database)
        self.api_keys = ApiKeys(database)
        self.messages = Messages(database)
        self.automations = Automations(database)
        self.campaigns = Campaigns(database, self.queues)
        self.outbound = Outbound(database, self.queues, self.gateways, connection.now_ms)
        self.unknowns = WebhookUnknowns(database)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: Settings,
        *,
        alone: bool = False,
        migrating: bool = False,
        latency_ms: Latency | int | None = None,
    ) -> "AsyncIterator[Application]":
        """Open the engines and all that is built on them.

        ``alone`` refuses a data folder that another process has; ``migrating`` brings the database to the newest
        tables, which otherwise must be there unless this call starts the database itself. ``latency_ms`` is the
        simulator's. Raises ``EmbeddedError``, ``EngineUnreachable``, ``NotMigrated`` and ``EncryptionError``.
        """
        async with (
            open_engines(settings, alone=alone) as engines,
            Connection.from_url(engines.redis_url) as connection,
        ):
            database = Database(engines.database_url, pool_size=settings.database_pool, cipher=cipher_of(settings))
            try:
                await reach(engines, connection=connection, database=database, migrating=migrating)
                sealing = await seal_all(database)
                if sealing.sealed or sealing.unreadable:
                    events.SECRETS_SEALED(sealed=sealing.sealed, unreadable=sealing.unreadable, hint=_UNREADABLE)
                application = cls(
                    settings, engines=engines, database=database, connection=connection, latency_ms=latency_ms
                )
                try:
                    yield application
                finally:
                    await application.cloud.close()
            finally:
                await database.close()

    async def run_workers(self, names: Iterable[QueueName] = WORKED, *, until: asyncio.Event) -> None:
        """Work on the queues until the event is set; then end what runs, within the settings' deadline.

        With ``outbound`` the simulator runs too, and with ``maintenance`` the reconciler. If one of them raises, the
        others are stopped and it is raised here.
        """
        worked = list(dict.fromkeys(names))
        handle = handlers(
            database=self.database, queues=self.queues, gateways=self.gateways, clock=self.connection.now_ms
        )
        if QueueName.MAINTENANCE in worked:
            await schedule_reconciler(self.queues)
        workers = [
            Worker(
                name.value,
                observed(name, handle[name]),
                self.connection,
                worker_options(self.settings, name),
                prefix=self.settings.queue_prefix,
                listener=log_notice,
            )
            for name in worked
        ]
        running = [asyncio.create_task(worker.run(), name=f"worker-{worker.queue}") for worker in workers]
        # What a gateway does beside its sends: it delivers receipts, and contacts write.
        beside = [asyncio.create_task(self.simulator.run(), name="simulator")] if QueueName.OUTBOUND in worked else []
        asked = asyncio.create_task(until.wait())
        try:
            await asyncio.wait([*running, *beside, asked], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.gather(*(worker.stop(self.settings.stop_deadline_ms) for worker in workers))
        finally:
            for task in (asked, *beside, *running):
                task.cancel()
            ended = await asyncio.gather(*running, *beside, return_exceptions=True)
            await asyncio.gather(asked, return_exceptions=True)
        for outcome in ended:
            if isinstance(outcome, Exception):
                raise outcome
