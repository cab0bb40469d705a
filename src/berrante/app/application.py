"""One process of the service, wired: the one place where every part is made and knows of the others."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final

from berrante import __version__
from berrante.app.encryption import cipher_of
from berrante.app.engines import Engines, open_engines
from berrante.app.media import media_store
from berrante.app.observing import observed, observed_batch
from berrante.app.options import WORKED, campaign_per_minute, job_options, kept_for, worker_options
from berrante.app.reaching import reach
from berrante.app.secret import secret_key
from berrante.app.sidecar import open_sidecars
from berrante.app.signals import Signals
from berrante.app.tracing import TracedSender, open_tracing, trace_client, trace_database, traced_gateway
from berrante.engine import Connection, Worker
from berrante.engine.notices import Notice
from berrante.engine.ticker import every
from berrante.gateways.baileys import BaileysGateway, Sidecars
from berrante.gateways.cloud import CloudGateway, Graph
from berrante.gateways.measured import measured
from berrante.gateways.simulator import Latency, Simulator
from berrante.messaging.api_keys import ApiKeys
from berrante.messaging.audit import AuditLog
from berrante.messaging.automations import Automations
from berrante.messaging.baileys.strangers import Strangers
from berrante.messaging.campaigns import CampaignAccount, Campaigns
from berrante.messaging.cloud_numbers import CloudNumbers
from berrante.messaging.contact_imports import ContactImports
from berrante.messaging.contacts import Contacts
from berrante.messaging.conversations import Conversations, ReadMarks
from berrante.messaging.dead_letters import Healing, Triage
from berrante.messaging.endpoints import Deliveries, Endpoints, Sender
from berrante.messaging.files.registering import RegisteredMedia
from berrante.messaging.handlers import batch_handlers, handlers
from berrante.messaging.idempotency import IdempotencyKeys
from berrante.messaging.instances import Instances
from berrante.messaging.instances.sealing import seal_all
from berrante.messaging.intake import Intake
from berrante.messaging.limits import RateLimiter
from berrante.messaging.maintenance import restore_schedules, schedule_maintenance
from berrante.messaging.maintenance.schedules import MISSED_AFTER_MS
from berrante.messaging.messages import Messages
from berrante.messaging.organizations import Organizations
from berrante.messaging.outbound.pacing import Pacing
from berrante.messaging.outbound.rates import slowed_rates
from berrante.messaging.outbound.service import Outbound
from berrante.messaging.outbound.waking import Waker
from berrante.messaging.people import LoginAttempts, People, Sessions
from berrante.messaging.queues import QueueName, open_queues
from berrante.messaging.quotas import Quotas
from berrante.messaging.webhooks import WebhookUnknowns
from berrante.settings import Settings
from berrante.store import Database
from berrante.telemetry import Metrics, Tracing, events, log_notice

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
        sidecars: Sidecars,
        tracing: Tracing,
        latency_ms: Latency | int | None = None,
    ) -> None:
        self.settings = settings
        self.tracing = tracing
        self.engines = engines
        self.database = database
        self.connection = connection
        self.queues = open_queues(
            connection, prefix=settings.queue_prefix, options=job_options(settings), trace_context=tracing.added
        )
        self.intake = Intake(self.queues)
        self.simulator = Simulator(self.intake, clock=connection.now_ms, latency_ms=latency_ms)
        self.waker = Waker(database, self.queues.outbound)
        self.cloud_numbers = CloudNumbers(database, self.queues, clock=connection.now_ms, waker=self.waker)
        files = media_store(settings)
        self.media = RegisteredMedia(
            files, database, clock=connection.now_ms, unnamed_for=timedelta(days=settings.keep_uploads_days)
        )
        # What is fetched is named by its message at once, or by none.
        fetched = RegisteredMedia(files, database, clock=connection.now_ms, unnamed_for=timedelta(days=1))
        graph = Graph()
        self.cloud = CloudGateway(self.cloud_numbers, fetched, graph=graph, clock=connection.now_ms)
        trace_client(graph.client, tracing)
        trace_client(sidecars.client, tracing)
        trace_database(database.engine, tracing)
        self.metrics = Metrics(version=__version__)
        self.sidecars = sidecars
        self.baileys = BaileysGateway(sidecars, fetched, is_cold=Strangers(database).is_cold, clock=connection.now_ms)
        gateways: tuple[Gateway, ...] = (self.simulator, self.cloud, self.baileys)
        self.gateways: Mapping[str, Gateway] = {
            gateway.name: measured(traced_gateway(gateway, tracing), self.metrics) for gateway in gateways
        }
        self.organizations = Organizations(database)
        self.people = People(database)
        self.sessions = Sessions(database)
        self.login_attempts = LoginAttempts(connection.redis, prefix=settings.queue_prefix)
        self.audit_log = AuditLog(database)
        self.quotas = Quotas(database, connection.redis, prefix=settings.queue_prefix, clock=connection.now_ms)
        self.rate_limiter = RateLimiter(connection.redis, prefix=settings.queue_prefix)
        defaults = worker_options(settings, QueueName.OUTBOUND).groups
        self.pacing = Pacing(
            outbound=self.queues.outbound,
            delayed=_pace_delayed,
            slowed=partial(slowed_rates, database),
            default=defaults.rate if defaults else None,
        )
        self.instances = Instances(database, on_settings=self.pacing.apply)
        self.api_keys = ApiKeys(database)
        self.messages = Messages(database)
        self.contacts = Contacts(database, self.queues, connection.now_ms)
        self.contact_imports = ContactImports(database)
        self.conversations = Conversations(database, connection.now_ms)
        self.read_marks = ReadMarks(database, self.gateways, connection.now_ms)
        self.automations = Automations(database)
        self.campaigns = Campaigns(database, self.queues, connection.now_ms)
        self.campaign_account = CampaignAccount(
            database,
            self.queues,
            connection.now_ms,
            per_minute=campaign_per_minute(settings),
            lane=defaults.rate if defaults else None,
        )
        self.outbound = Outbound(database, self.queues, self.gateways, connection.now_ms, quotas=self.quotas)
        self.triage = Triage(self.queues.dead_letters, connection.now_ms)
        self.healing = Healing(database, connection.now_ms)
        self.endpoints = Endpoints(
            database, self.queues, allow_loopback=settings.webhooks.allow_loopback, clock=connection.now_ms
        )
        self.deliveries = Deliveries(database, self.queues, clock=connection.now_ms)
        self.idempotency_keys = IdempotencyKeys(database)
        self.unknowns = WebhookUnknowns(database)

    @cached_property
    def secret_key(self) -> str:
        """What signs sessions; only the web side asks, so only there a missing one matters."""
        return secret_key(self.settings)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: Settings,
        *,
        alone: bool = False,
        migrating: bool = False,
        latency_ms: Latency | int | None = None,
        tracing: Tracing | None = None,
    ) -> "AsyncIterator[Application]":
        """Open the engines and all that is built on them.

        ``alone`` refuses a data folder that another process has; ``migrating`` brings the database to the newest
        tables, which otherwise must be there unless this call starts the database itself. ``latency_ms`` is the
        simulator's, and ``tracing`` goes before the settings'. Raises ``EmbeddedError``, ``EngineUnreachable``,
        ``NotMigrated``, ``TracingUnavailable`` and ``EncryptionError``.
        """
        async with (
            open_tracing(settings) as asked_for,
            open_engines(settings, alone=alone) as engines,
            Connection.from_url(engines.redis_url) as connection,
            open_sidecars(settings) as sidecars,
        ):
            database = Database(engines.database_url, pool_size=settings.database_pool, cipher=cipher_of(settings))
            try:
                await reach(engines, connection=connection, database=database, migrating=migrating)
                sealing = await seal_all(database)
                if sealing.sealed or sealing.unreadable:
                    events.SECRETS_SEALED(sealed=sealing.sealed, unreadable=sealing.unreadable, hint=_UNREADABLE)
                application = cls(
                    settings,
                    engines=engines,
                    database=database,
                    connection=connection,
                    sidecars=sidecars,
                    tracing=tracing or asked_for,
                    latency_ms=latency_ms,
                )
                try:
                    yield application
                finally:
                    await application.cloud.close()
                    await application.baileys.close()
                    await application.media.close()
            finally:
                await database.close()

    def _hear(self, notice: Notice) -> None:
        log_notice(notice)
        self.metrics.hear(notice)

    async def run_workers(self, names: Iterable[QueueName] = WORKED, *, until: asyncio.Event) -> None:
        """Work on the queues until the event is set; then end what runs, within the settings' deadline.

        With ``outbound`` the simulator runs too, and with ``maintenance`` its schedules. If one of them raises, the
        others are stopped and it is raised here.
        """
        worked = list(dict.fromkeys(names))
        listener = Signals(self.instances, self.pacing, self.waker)
        handle_many = batch_handlers(
            database=self.database,
            queues=self.queues,
            gateways=self.gateways,
            clock=self.connection.now_ms,
            listener=listener,
            traces=self.tracing,
            quotas=self.quotas,
        )
        handle = handlers(
            database=self.database,
            queues=self.queues,
            gateways=self.gateways,
            media=self.media,
            clock=self.connection.now_ms,
            campaign_per_minute=campaign_per_minute(self.settings),
            kept_for=kept_for(self.settings),
            sender=self._sender(),
            pacing=self.pacing,
            listener=listener,
            traces=self.tracing,
            quotas=self.quotas,
        )
        if QueueName.OUTBOUND in worked:
            await self.pacing.reconcile(await self.instances.list_all())
        if QueueName.MAINTENANCE in worked:
            await schedule_maintenance(self.queues)
        workers = [
            Worker(
                name.value,
                observed_batch(name, handle_many[name], self.tracing)
                if name in handle_many
                else observed(name, handle[name], self.tracing),
                self.connection,
                worker_options(self.settings, name),
                prefix=self.settings.queue_prefix,
                listener=self._hear,
            )
            for name in worked
        ]
        running = [asyncio.create_task(worker.run(), name=f"worker-{worker.queue}") for worker in workers]
        # What a gateway does beside its sends: it delivers receipts, and contacts write.
        beside = [asyncio.create_task(self.simulator.run(), name="simulator")] if QueueName.OUTBOUND in worked else []
        if QueueName.MAINTENANCE in worked:
            keeping = every(MISSED_AFTER_MS, self._restore_schedules)
            beside.append(asyncio.create_task(keeping, name="schedules"))
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

    def _sender(self) -> Sender:
        allow_loopback = self.settings.webhooks.allow_loopback
        if self.tracing.is_on:
            return TracedSender(self.tracing, allow_loopback=allow_loopback)
        return Sender(allow_loopback=allow_loopback)

    async def _restore_schedules(self) -> None:
        await restore_schedules(self.queues)


def _pace_delayed(instance_id: str, reason: str) -> None:
    hint = "the settings are stored, and reach Redis within a minute of its return"
    events.PACE_DELAYED(instance_id=instance_id, reason=reason, hint=hint)
