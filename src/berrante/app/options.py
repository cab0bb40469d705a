"""From settings to the engine's options."""

import os
import socket
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from berrante.engine import Backoff, Batch, GroupLimits, GroupRate, JobOptions, RateLimit, Retention, WorkerOptions
from berrante.messaging.maintenance import KeptFor
from berrante.messaging.messages.jobs import MEDIA
from berrante.messaging.queues import QueueName
from berrante.settings import RateScope, Settings

#: The queues that a worker works on; ``dead-letter`` waits for people.
WORKED: Final = tuple(name for name in QueueName if name is not QueueName.DEAD_LETTER)
_FASTEST: Final = 1_000_000.0

#: A day of points, as Bull Board draws them and `/health/queues` reads them.
_METRICS_MINUTES: Final = 24 * 60

#: The key of a job's data that names whom it takes turns with: a number, an organization, an endpoint. Ours name their
#: group themselves; those that Node adds are filed by this.
GROUPED_BY: Final = {
    QueueName.MESSAGE: "instanceId",
    QueueName.AUTOMATION: "instanceId",
    QueueName.CAMPAIGN: "organizationId",
    QueueName.OUTBOUND: "instanceId",
    QueueName.WEBHOOK: "endpointId",
}
#: A number's messages are handled in order, and no endpoint takes all places of the worker.
_AT_ONCE: Final = {QueueName.MESSAGE: 1, QueueName.WEBHOOK: 5}
#: What comes in is stored in few statements: a batch is many jobs of one number, in order, or of several numbers.
_BATCHES: Final = {QueueName.MESSAGE: Batch(size=100, alone=frozenset({MEDIA}))}


def job_options(settings: Settings) -> Mapping[QueueName, JobOptions]:
    """Return how each queue's jobs are run and kept."""
    options: dict[QueueName, JobOptions] = {}
    for name in WORKED:
        queue = settings.queue(name)
        options[name] = JobOptions(
            attempts=queue.attempts,
            backoff=Backoff.exponential(queue.backoff_delay_ms, jitter=queue.backoff_jitter),
            keep_completed=Retention(age_s=queue.keep_completed_age_s, count=queue.keep_completed_count),
            keep_failed=Retention(age_s=queue.keep_failed_age_s, count=queue.keep_failed_count),
        )
    return options


def campaign_per_minute(settings: Settings) -> float:
    """Return how many messages a minute a number sends for a campaign that says nothing of it."""
    queue = settings.campaign
    return min(_FASTEST, queue.rate_max * 60_000 / queue.rate_duration_ms) if queue.rate_max else _FASTEST


def worker_options(settings: Settings, name: QueueName) -> WorkerOptions:
    """Return how a queue's worker works; its retention is for jobs whose producer said nothing of it."""
    queue = settings.queue(name)
    # A campaign's rate is of messages per number: its handler keeps it, and one job writes many.
    limited = queue.rate_max > 0 and name is not QueueName.CAMPAIGN
    rate, group_rate = None, None
    if limited and queue.rate_scope is RateScope.QUEUE:
        rate = RateLimit(max=queue.rate_max, duration_ms=queue.rate_duration_ms)
    elif limited:
        group_rate = GroupRate(max=queue.rate_max, duration_ms=queue.rate_duration_ms, burst=queue.rate_max)
    return WorkerOptions(
        concurrency=queue.concurrency,
        rate=rate,
        batch=_BATCHES.get(name),
        groups=GroupLimits(concurrency=_AT_ONCE.get(name), rate=group_rate) if name in GROUPED_BY else None,
        group_by=GROUPED_BY.get(name),
        lock_ms=queue.lock_ms,
        stalled_interval_ms=queue.stalled_interval_ms,
        max_stalled=queue.max_stalled,
        stop_deadline_ms=settings.stop_deadline_ms,
        keep_completed=Retention(age_s=queue.keep_completed_age_s, count=queue.keep_completed_count),
        keep_failed=Retention(age_s=queue.keep_failed_age_s, count=queue.keep_failed_count),
        metrics_minutes=_METRICS_MINUTES,
        dead_letters=QueueName.DEAD_LETTER.value,
        name=f"{socket.gethostname()}-{os.getpid()}",
    )


def kept_for(settings: Settings) -> KeptFor:
    """Return how long rows and finished jobs are kept."""
    jobs: dict[QueueName, tuple[Retention, Retention]] = {
        name: (
            Retention(age_s=settings.queue(name).keep_completed_age_s),
            Retention(age_s=settings.queue(name).keep_failed_age_s),
        )
        for name in WORKED
    }
    days = settings.keep_messages_days
    return KeptFor(messages=timedelta(days=days) if days else None, jobs=jobs)
