"""The handlers of all queues, wired."""

from collections.abc import Mapping

from berrante.engine import Handler
from berrante.engine.connection import system_clock
from berrante.gateways.protocol import Gateway
from berrante.messaging.automations.handler import AutomationHandler
from berrante.messaging.campaigns.handler import CampaignHandler
from berrante.messaging.campaigns.pace.policy import DEFAULT_PER_MINUTE
from berrante.messaging.clock import Clock
from berrante.messaging.contact_imports import ImportWork
from berrante.messaging.messages.handler import MessageHandler
from berrante.messaging.outage import patient
from berrante.messaging.outbound.handler import OutboundHandler
from berrante.messaging.queues import QueueName, Queues
from berrante.messaging.reconciler import MaintenanceHandler, Reconciler
from berrante.store import Database


def handlers(
    *,
    database: Database,
    queues: Queues,
    gateways: Mapping[str, Gateway],
    clock: Clock = system_clock,
    campaign_per_minute: float = DEFAULT_PER_MINUTE,
) -> dict[QueueName, Handler]:
    """Return what works on each queue; ``dead-letter`` has nobody, since people triage it.

    ``campaign_per_minute`` is the pace of a number in a campaign that names none.
    """
    return {
        QueueName.MESSAGE: patient(MessageHandler(database=database, queues=queues, clock=clock)),
        QueueName.AUTOMATION: patient(
            AutomationHandler(database=database, queues=queues, gateways=gateways, clock=clock)
        ),
        QueueName.CAMPAIGN: patient(
            CampaignHandler(
                database=database, queues=queues, gateways=gateways, clock=clock, per_minute=campaign_per_minute
            )
        ),
        QueueName.OUTBOUND: patient(OutboundHandler(database=database, gateways=gateways, clock=clock)),
        QueueName.MAINTENANCE: patient(
            MaintenanceHandler(
                Reconciler(database=database, queues=queues, clock=clock),
                ImportWork(database=database, queues=queues, clock=clock),
            )
        ),
    }
