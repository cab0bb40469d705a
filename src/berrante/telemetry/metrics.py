"""Prometheus metrics of one process, in a registry of our own."""

import time
from collections.abc import Mapping
from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from berrante.engine import InvalidPayload, Job
from berrante.engine import notices as told
from berrante.engine.group_census import GroupCensus
from berrante.engine.queue_state import QueueState

#: Of waits and runs: from what is not noticed to what somebody complains about.
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)
_SENDS: Final = ("accepted", "refused", "in_doubt", "error")


class Metrics:
    """What one process counts. ``hear`` is a worker's listener; ``sent`` is told by gateways; the rest is set."""

    def __init__(self, *, version: str) -> None:
        self.registry = registry = CollectorRegistry()
        build = Gauge("berrante_build", "Which version runs; always 1.", ("version",), registry=registry)
        build.labels(version).set(1)
        started = Gauge("berrante_process_start_time_seconds", "When the process started.", registry=registry)
        started.set(time.time())

        self.jobs = Counter("berrante_jobs", "Runs of jobs by how they ended.", ("queue", "outcome"), registry=registry)
        self.wait = Histogram(
            "berrante_job_wait_seconds",
            "From the time at which a job could first have run to its first run.",
            ("queue",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.run = Histogram(
            "berrante_job_run_seconds", "How long handlers ran.", ("queue",), buckets=_SECONDS, registry=registry
        )
        self.end_to_end = Histogram(
            "berrante_job_end_to_end_seconds",
            "From the add of a job to its completion, delays included.",
            ("queue",),
            buckets=_SECONDS,
            registry=registry,
        )
        # The children are kept: to look one up by its labels costs more than to count.
        self._jobs_of = cache(self.jobs.labels)
        self._wait_of = cache(self.wait.labels)
        self._run_of = cache(self.run.labels)
        self._end_to_end_of = cache(self.end_to_end.labels)
        self.stalled = Counter("berrante_jobs_stalled", "Jobs whose worker fell silent.", ("queue",), registry=registry)
        self.troubles = Counter(
            "berrante_troubles",
            "Locks lost, outcomes refused, jobs unreadable.",
            ("queue", "trouble"),
            registry=registry,
        )
        self.redis_losses = Counter(
            "berrante_redis_losses", "Times that Redis went away.", ("queue",), registry=registry
        )
        self.workers = Gauge("berrante_workers", "Workers that this process runs.", ("queue",), registry=registry)

        self._sends = Counter(
            "berrante_sends", "Messages given to a gateway, by outcome.", ("gateway", "outcome"), registry=registry
        )
        self.send_seconds = Histogram(
            "berrante_send_seconds",
            "How long a gateway took to answer.",
            ("gateway",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.send_errors = Counter(
            "berrante_send_errors",
            "What a gateway refused, by what the error is about and what is done about it.",
            ("gateway", "scope", "action"),
            registry=registry,
        )

        # Of the whole service, whoever tells it: aggregate with max, not sum.
        self.queue_jobs = Gauge("berrante_queue_jobs", "Jobs by state.", ("queue", "state"), registry=registry)
        self.queue_oldest = Gauge(
            "berrante_queue_oldest_waiting_seconds",
            "How long the oldest waiting job waits.",
            ("queue",),
            registry=registry,
        )
        self.queue_stalled = Gauge(
            "berrante_queue_stalled_jobs", "Active jobs whose worker is silent now.", ("queue",), registry=registry
        )
        self.queue_paused = Gauge("berrante_queue_paused", "Whether a queue is paused.", ("queue",), registry=registry)
        self.queue_workers = Gauge("berrante_queue_workers", "Workers of a queue.", ("queue",), registry=registry)
        self.groups = Gauge(
            "berrante_queue_groups",
            "Groups that have jobs: in the ring (may run), later (their time comes), out (paused, full, or running).",
            ("queue", "place"),
            registry=registry,
        )
        self.group_jobs = Gauge(
            "berrante_queue_group_jobs",
            "Jobs of all groups: waiting, and held (active runs).",
            ("queue", "state"),
            registry=registry,
        )
        self.group_waiting = Gauge(
            "berrante_queue_group_waiting",
            "Waiting jobs of the ten longest groups of a queue.",
            ("queue", "group"),
            registry=registry,
        )
        self.pool = Gauge(
            "berrante_database_pool_connections", "This process's pool of connections.", ("state",), registry=registry
        )
        self.up = Gauge("berrante_up", "Whether an engine answers this process.", ("engine",), registry=registry)

    def hear(self, notice: told.Notice) -> None:
        """Count what a worker tells."""
        queue = notice.queue
        match notice:
            case told.JobStarted(job=job):
                self._waited(queue, job)
            case told.JobCompleted(job=job):
                self._ended(queue, "completed", notice.ran_ms)
                self._end_to_end_of(queue).observe(max(0.0, time.time() - job.timestamp_ms / 1_000))
            case told.JobRetried() | told.JobFailed() | told.JobSnoozed():
                self._ended(queue, _OUTCOMES[type(notice)], notice.ran_ms)
            case told.JobHandedBack():
                self.jobs.labels(queue, "handed_back").inc()
            case told.JobsStalled():
                self.stalled.labels(queue).inc(len(notice.job_ids))
            case told.JobLockLost():
                self.troubles.labels(queue, "lock_lost").inc()
            case told.OutcomeRefused():
                self.troubles.labels(queue, "outcome_refused").inc()
            case told.JobsUnreadable():
                self.troubles.labels(queue, "unreadable").inc(len(notice.job_ids))
            case told.RedisLost():
                self.redis_losses.labels(queue).inc()
            case told.WorkerStarted():
                self.workers.labels(queue).inc()
            case told.WorkerStopped():
                self.workers.labels(queue).dec()

    def sent(self, gateway: str, outcome: str, seconds: float) -> None:
        """Count a send: ``accepted``, ``refused``, ``in_doubt`` or ``error``."""
        self._sends.labels(gateway, outcome).inc()
        self.send_seconds.labels(gateway).observe(seconds)

    def refused(self, gateway: str, scope: str, action: str) -> None:
        """Count what a refusal was about."""
        self.send_errors.labels(gateway, scope, action).inc()

    def sends(self, gateway: str) -> dict[str, int]:
        """Return this process's sends by outcome."""
        found = dict.fromkeys(_SENDS, 0)
        for family in self._sends.collect():
            for sample in family.samples:
                if sample.name.endswith("_total") and sample.labels["gateway"] == gateway:
                    found[sample.labels["outcome"]] = int(sample.value)
        return found

    def queue_stands(self, queue: str, state: QueueState) -> None:
        """Set what holds of a queue now."""
        for name, number in state.counts.items():
            self.queue_jobs.labels(queue, name.value).set(number)
        self.queue_oldest.labels(queue).set((state.oldest_waiting_ms or 0) / 1_000)
        self.queue_stalled.labels(queue).set(state.stalled)
        self.queue_paused.labels(queue).set(state.paused)
        if state.workers is not None:
            self.queue_workers.labels(queue).set(state.workers)

    def groups_stand(self, censuses: Mapping[str, GroupCensus]) -> None:
        """Set what holds of the queues' groups now; a group that is no longer among the longest is left out."""
        self.group_waiting.clear()
        for queue, census in censuses.items():
            for place, number in (("ring", census.ring), ("later", census.later), ("out", census.out)):
                self.groups.labels(queue, place).set(number)
            self.group_jobs.labels(queue, "waiting").set(census.waiting)
            self.group_jobs.labels(queue, "held").set(census.active)
            for group, waiting in census.longest.items():
                self.group_waiting.labels(queue, group).set(waiting)

    def forget_queues(self) -> None:
        """Leave out what is not known while Redis is away: an old number would look like a new one."""
        of_queues = (self.queue_jobs, self.queue_oldest, self.queue_stalled, self.queue_paused, self.queue_workers)
        for gauge in (*of_queues, self.groups, self.group_jobs, self.group_waiting):
            gauge.clear()

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        return generate_latest(self.registry)

    def _waited(self, queue: str, job: Job) -> None:
        if job.attempts_started > 1 or not job.processed_on_ms:
            return
        try:
            due_ms = job.timestamp_ms + job.options.delay_ms
        except InvalidPayload:
            return
        self._wait_of(queue).observe(max(0.0, (job.processed_on_ms - due_ms) / 1_000))

    def _ended(self, queue: str, outcome: str, ran_ms: int) -> None:
        self._jobs_of(queue, outcome).inc()
        self._run_of(queue).observe(ran_ms / 1_000)


_OUTCOMES: Final[dict[type[told.Notice], str]] = {
    told.JobRetried: "retried",
    told.JobFailed: "failed",
    told.JobSnoozed: "snoozed",
}
