"""The handlers of all queues, wired."""

from collections.abc import Mapping

from berrante.engine import Handler
from berrante.engine.connection import system_clock
from berrante.gateways.protocol import Gateway
from berrante.messaging.automations.handler import AutomationHandler
from berrante.messaging.campaigns.handler import CampaignHandler
from berrante.messaging.clock import Clock
from berrante.messaging.messages.handler import MessageHandler
from berrante.messaging.outage import patient
from berrante.messaging.outbound.handler import OutboundHandler
from berrante.messaging.outbound.signals import Listener, deaf
from berrante.messaging.queues import QueueName, Queues
from berrante.messaging.reconciler import MaintenanceHandler, Reconciler
from berrante.store import Database


def handlers(
    *,
    database: Database,
    queues: Queues,
    gateways: Mapping[str, Gateway],
    clock: Clock = system_clock,
    listener: Listener = deaf,
) -> dict[QueueName, Handler]:
    """Return what works on each queue; ``dead-letter`` has nobody, since people triage it.

    ``listener`` is told what sending finds out: numbers to be slowed, holds, people who want no marketing.
    """
    return {
        QueueName.MESSAGE: patient(
            MessageHandler(database=database, queues=queues, clock=clock, gateways=gateways, listener=listener)
        ),
        QueueName.AUTOMATION: patient(
            AutomationHandler(database=database, queues=queues, gateways=gateways, clock=clock)
        ),
        QueueName.CAMPAIGN: patient(CampaignHandler(database=database, queues=queues, gateways=gateways, clock=clock)),
        QueueName.OUTBOUND: patient(
            OutboundHandler(database=database, gateways=gateways, clock=clock, listener=listener)
        ),
        QueueName.MAINTENANCE: patient(MaintenanceHandler(Reconciler(database=database, queues=queues, clock=clock))),
    }
