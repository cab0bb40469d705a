"""The handlers of all queues, wired."""

from collections.abc import Mapping
from dataclasses import asdict

from berrante.engine import Handler, Job
from berrante.engine.connection import system_clock
from berrante.gateways.protocol import Gateway
from berrante.messaging.automations.handler import AutomationHandler
from berrante.messaging.campaigns.handler import CampaignHandler
from berrante.messaging.clock import Clock
from berrante.messaging.contact_imports.jobs import IMPORT
from berrante.messaging.contact_imports.working import ImportWork
from berrante.messaging.maintenance import KeptFor, MaintenanceHandler, RetentionKeeper
from berrante.messaging.maintenance.schedules import RETAIN
from berrante.messaging.messages.handler import MessageHandler
from berrante.messaging.outage import patient
from berrante.messaging.outbound.handler import OutboundHandler
from berrante.messaging.queues import QueueName, Queues
from berrante.messaging.reconciler import RECONCILE, Reconciler
from berrante.store import Database


def handlers(
    *,
    database: Database,
    queues: Queues,
    gateways: Mapping[str, Gateway],
    clock: Clock = system_clock,
    kept_for: KeptFor | None = None,
) -> dict[QueueName, Handler]:
    """Return what works on each queue; ``dead-letter`` has nobody, since people triage it."""
    reconciler = Reconciler(database=database, queues=queues, clock=clock)
    keeper = RetentionKeeper(database=database, queues=queues, clock=clock, kept_for=kept_for or KeptFor())
    imports = ImportWork(database=database, queues=queues, clock=clock)

    async def reconcile(_: Job) -> object:
        return {**asdict(await reconciler.sweep()), "imports": await imports.restore()}

    return {
        QueueName.MESSAGE: patient(MessageHandler(database=database, queues=queues, clock=clock)),
        QueueName.AUTOMATION: patient(
            AutomationHandler(database=database, queues=queues, gateways=gateways, clock=clock)
        ),
        QueueName.CAMPAIGN: patient(CampaignHandler(database=database, queues=queues, gateways=gateways, clock=clock)),
        QueueName.OUTBOUND: patient(OutboundHandler(database=database, gateways=gateways, clock=clock)),
        QueueName.MAINTENANCE: patient(
            MaintenanceHandler({RECONCILE: reconcile, RETAIN: lambda _: keeper.sweep(), IMPORT: imports.handle})
        ),
    }
