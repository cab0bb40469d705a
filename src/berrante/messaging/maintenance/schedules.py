"""When each chore is done: BullMQ job schedulers of the queue ``maintenance``, to be seen in Bull Board."""

from typing import Final

from berrante.messaging.queues import Queues
from berrante.messaging.reconciler import RECONCILE

_MINUTE_MS: Final = 60_000

RETAIN: Final = "retain"
FORGET_DELIVERIES: Final = "forget-deliveries"
FORGET_IDEMPOTENCY_KEYS: Final = "forget-idempotency-keys"
EVERY_MS: Final = {
    RECONCILE: _MINUTE_MS,
    RETAIN: 60 * _MINUTE_MS,
    FORGET_DELIVERIES: 60 * _MINUTE_MS,
    FORGET_IDEMPOTENCY_KEYS: 60 * _MINUTE_MS,
}


async def schedule_maintenance(queues: Queues) -> None:
    """Have every chore done now and from now on; every process that starts may call this."""
    for chore, every_ms in EVERY_MS.items():
        await queues.maintenance.schedulers.upsert(
            chore, name=chore, every_ms=every_ms, options=queues.maintenance.defaults
        )
