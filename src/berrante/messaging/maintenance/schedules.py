"""When each chore is done: BullMQ job schedulers of the queue ``maintenance``, to be seen in Bull Board."""

import logging
from typing import Final

from berrante.messaging.queues import Queues
from berrante.messaging.reconciler import RECONCILE

_log: Final = logging.getLogger(__name__)
_MINUTE_MS: Final = 60_000
#: How soon schedules that are gone are missed: with them would go the reconciler, which brings all else back.
MISSED_AFTER_MS: Final = 15_000

RETAIN: Final = "retain"
DELETE_FILES: Final = "delete-files"
FORGET_DELIVERIES: Final = "forget-deliveries"
FORGET_IDEMPOTENCY_KEYS: Final = "forget-idempotency-keys"
EVERY_MS: Final = {
    RECONCILE: _MINUTE_MS,
    RETAIN: 60 * _MINUTE_MS,
    DELETE_FILES: _MINUTE_MS,
    FORGET_DELIVERIES: 60 * _MINUTE_MS,
    FORGET_IDEMPOTENCY_KEYS: 60 * _MINUTE_MS,
}


async def schedule_maintenance(queues: Queues) -> None:
    """Have every chore done now and from now on; every process that starts may call this."""
    for chore in EVERY_MS:
        await _schedule(queues, chore)


async def restore_schedules(queues: Queues) -> list[str]:
    """Schedule again, and return, the chores that Redis has forgotten: it was flushed, or lost its data."""
    there = {scheduler.id for scheduler in await queues.maintenance.schedulers.list()}
    gone = [chore for chore in EVERY_MS if chore not in there]
    for chore in gone:
        await _schedule(queues, chore)
    if gone:
        _log.warning("schedules were missing in Redis and are there again: %s", ", ".join(gone))
    return gone


async def _schedule(queues: Queues, chore: str) -> None:
    await queues.maintenance.schedulers.upsert(
        chore, name=chore, every_ms=EVERY_MS[chore], options=queues.maintenance.defaults
    )
