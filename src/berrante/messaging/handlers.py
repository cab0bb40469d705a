"""The handlers of all queues, wired."""

from collections.abc import Mapping

from berrante.engine import Handler
from berrante.engine.connection import system_clock
from berrante.gateways.protocol import Gateway
from berrante.messaging.automations.handler import AutomationHandler
from berrante.messaging.campaigns.handler import CampaignHandler
from berrante.messaging.clock import Clock
from berrante.messaging.endpoints.deliveries import Deliveries
from berrante.messaging.endpoints.handler import WebhookHandler
from berrante.messaging.endpoints.sending import Sender
from berrante.messaging.idempotency import IdempotencyKeys
from berrante.messaging.messages.handler import MessageHandler
from berrante.messaging.outage import patient
from berrante.messaging.outbound.handler import OutboundHandler
from berrante.messaging.queues import QueueName, Queues
from berrante.messaging.reconciler import (
    FORGET_DELIVERIES,
    FORGET_IDEMPOTENCY_KEYS,
    MaintenanceHandler,
    Reconciler,
)
from berrante.store import Database


def handlers(
    *,
    database: Database,
    queues: Queues,
    gateways: Mapping[str, Gateway],
    clock: Clock = system_clock,
    sender: Sender | None = None,
) -> dict[QueueName, Handler]:
    """Return what works on each queue; ``dead-letter`` has nobody, since people triage it."""
    return {
        QueueName.MESSAGE: patient(MessageHandler(database=database, queues=queues, clock=clock)),
        QueueName.AUTOMATION: patient(
            AutomationHandler(database=database, queues=queues, gateways=gateways, clock=clock)
        ),
        QueueName.CAMPAIGN: patient(CampaignHandler(database=database, queues=queues, gateways=gateways, clock=clock)),
        QueueName.OUTBOUND: patient(OutboundHandler(database=database, queues=queues, gateways=gateways, clock=clock)),
        QueueName.WEBHOOK: patient(
            WebhookHandler(database=database, queues=queues, sender=sender or Sender(), clock=clock)
        ),
        QueueName.MAINTENANCE: patient(
            MaintenanceHandler(
                Reconciler(database=database, queues=queues, clock=clock),
                {
                    FORGET_DELIVERIES: Deliveries(database, queues, clock=clock).forget,
                    FORGET_IDEMPOTENCY_KEYS: IdempotencyKeys(database).forget_old,
                },
            )
        ),
    }
