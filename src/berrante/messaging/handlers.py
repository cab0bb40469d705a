"""The handlers of all queues, wired."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict

from berrante.engine import BatchHandler, Handler, Job
from berrante.engine.connection import system_clock
from berrante.gateways.media import MediaStore
from berrante.gateways.protocol import Gateway
from berrante.messaging.automations.handler import AutomationHandler
from berrante.messaging.campaigns.handler import CampaignHandler
from berrante.messaging.campaigns.pace.policy import DEFAULT_PER_MINUTE
from berrante.messaging.clock import Clock
from berrante.messaging.contact_imports.jobs import IMPORT
from berrante.messaging.contact_imports.working import ImportWork
from berrante.messaging.endpoints.deliveries import Deliveries
from berrante.messaging.endpoints.handler import WebhookHandler
from berrante.messaging.endpoints.sending import Sender
from berrante.messaging.files.sweeping import FilesSwept, FileSweeper
from berrante.messaging.idempotency import IdempotencyKeys
from berrante.messaging.instances import Instances
from berrante.messaging.maintenance import KeptFor, MaintenanceHandler, RetentionKeeper
from berrante.messaging.maintenance.handler import Chore
from berrante.messaging.maintenance.schedules import DELETE_FILES, FORGET_DELIVERIES, FORGET_IDEMPOTENCY_KEYS, RETAIN
from berrante.messaging.messages.handler import MessageHandler
from berrante.messaging.outage import patient
from berrante.messaging.outbound.handler import OutboundHandler
from berrante.messaging.outbound.pacing import Pacing
from berrante.messaging.outbound.signals import Listener, deaf
from berrante.messaging.queues import QueueName, Queues
from berrante.messaging.quotas import Quotas
from berrante.messaging.reconciler import RECONCILE, Reconciler
from berrante.messaging.traces import Traces, Untraced
from berrante.store import Database


def handlers(
    *,
    database: Database,
    queues: Queues,
    gateways: Mapping[str, Gateway],
    media: MediaStore | None = None,
    clock: Clock = system_clock,
    campaign_per_minute: float = DEFAULT_PER_MINUTE,
    kept_for: KeptFor | None = None,
    sender: Sender | None = None,
    pacing: Pacing | None = None,
    listener: Listener = deaf,
    traces: Traces | None = None,
    quotas: Quotas | None = None,
) -> dict[QueueName, Handler]:
    """Return what works on each queue; ``dead-letter`` has nobody, since people triage it.

    The queue ``message`` is worked on in batches: see ``batch_handlers``.

    ``campaign_per_minute`` is the pace of a number in a campaign that names none. ``listener`` is told what sending
    finds out: numbers to be slowed, holds, people who want no marketing. ``traces`` by default are none.
    Without ``quotas`` campaigns and automations take from none, and without ``media`` no files are deleted.
    """
    reconciler = Reconciler(database=database, queues=queues, clock=clock)
    keeper = RetentionKeeper(database=database, queues=queues, clock=clock, kept_for=kept_for or KeptFor())
    sweeper = FileSweeper(database=database, store=media, clock=clock) if media else None
    imports = ImportWork(database=database, queues=queues, clock=clock)

    async def reconcile(_: Job) -> object:
        paced = await pacing.reconcile(await Instances(database).list_all()) if pacing else 0
        return {**asdict(await reconciler.sweep()), "imports": await imports.restore(), "paced": paced}

    async def retain(_: Job) -> object:
        orphans = await sweeper.check_orphans() if sweeper else 0
        return {**asdict(await keeper.sweep()), "orphans": orphans}

    async def delete_files(_: Job) -> object:
        return asdict(await sweeper.sweep() if sweeper else FilesSwept())

    def forgetting(forget: Callable[[], Awaitable[int]]) -> Chore:
        async def chore(_: Job) -> object:
            return {"forgotten": await forget()}

        return chore

    return {
        QueueName.AUTOMATION: patient(
            AutomationHandler(database=database, queues=queues, gateways=gateways, clock=clock, quotas=quotas)
        ),
        QueueName.CAMPAIGN: patient(
            CampaignHandler(
                database=database,
                queues=queues,
                gateways=gateways,
                clock=clock,
                per_minute=campaign_per_minute,
                quotas=quotas,
            )
        ),
        QueueName.OUTBOUND: patient(
            OutboundHandler(
                database=database,
                queues=queues,
                gateways=gateways,
                clock=clock,
                listener=listener,
                traces=traces or Untraced(),
            )
        ),
        QueueName.WEBHOOK: patient(
            WebhookHandler(database=database, queues=queues, sender=sender or Sender(), clock=clock)
        ),
        QueueName.MAINTENANCE: patient(
            MaintenanceHandler(
                {
                    RECONCILE: reconcile,
                    RETAIN: retain,
                    DELETE_FILES: delete_files,
                    IMPORT: imports.handle,
                    FORGET_DELIVERIES: forgetting(Deliveries(database, queues, clock=clock).forget),
                    FORGET_IDEMPOTENCY_KEYS: forgetting(IdempotencyKeys(database).forget_old),
                }
            )
        ),
    }


def batch_handlers(
    *,
    database: Database,
    queues: Queues,
    gateways: Mapping[str, Gateway],
    clock: Clock = system_clock,
    listener: Listener = deaf,
    traces: Traces | None = None,
    quotas: Quotas | None = None,
) -> dict[QueueName, BatchHandler]:
    """Return what works on the queues whose worker takes many jobs at once (``WorkerOptions.batch``)."""
    return {
        QueueName.MESSAGE: MessageHandler(
            database=database,
            queues=queues,
            clock=clock,
            gateways=gateways,
            listener=listener,
            traces=traces or Untraced(),
            quotas=quotas,
        )
    }
