"""Turns workers' notices into log events, with sentences for the operator where something has to be known."""

from collections.abc import Mapping
from typing import Any

from berrante.engine import InvalidPayload, Job
from berrante.engine import notices as told
from berrante.telemetry import events
from berrante.telemetry.trace import carried


def log_notice(notice: told.Notice) -> None:  # noqa: PLR0912  one line per kind of notice
    """Log what a worker told."""
    queue = notice.queue
    match notice:
        case told.JobCompleted():
            if events.JOB_COMPLETED.is_on:
                events.JOB_COMPLETED(**about(notice.job), ran_ms=notice.ran_ms)
        case told.JobStarted():
            if events.JOB_STARTED.is_on:
                events.JOB_STARTED(**about(notice.job))
        case told.JobSnoozed():
            events.JOB_SNOOZED(**about(notice.job), ran_ms=notice.ran_ms, delay_ms=notice.delay_ms)
        case told.JobRetried():
            events.JOB_RETRIED(
                **about(notice.job), ran_ms=notice.ran_ms, delay_ms=notice.delay_ms, reason=notice.reason
            )
        case told.JobFailed():
            events.JOB_FAILED(
                **about(notice.job),
                ran_ms=notice.ran_ms,
                reason=notice.reason,
                because=notice.because,
                dead_letter_id=notice.dead_letter_id,
            )
        case told.JobHandedBack():
            events.JOB_HANDED_BACK(**about(notice.job), because=notice.because)
        case told.JobLockLost():
            hint = "its lock expired here: raise LOCK_MS of the queue if handlers may block that long"
            events.JOB_LOCK_LOST(**about(notice.job), during=notice.during, hint=hint)
        case told.OutcomeRefused():
            hint = "the job runs again once its lock expires"
            events.JOB_OUTCOME_REFUSED(**about(notice.job), error=notice.error, hint=hint)
        case told.JobsStalled():
            hint = "a worker died, or was blocked for longer than its locks last; the jobs run again now"
            events.JOBS_STALLED(queue=queue, job_ids=list(notice.job_ids), hint=hint)
        case told.JobsUnreadable():
            hint = "someone removed jobs by hand, or Redis evicted keys: its maxmemory-policy has to be noeviction"
            events.JOBS_UNREADABLE(queue=queue, job_ids=list(notice.job_ids), hint=hint)
        case told.RedisLost():
            hint = (
                f"Redis is away, or refuses to write; {notice.unsettled} outcomes are kept and sent again in "
                f"{notice.retry_ms} ms; if this process ends before that succeeds, their jobs run again"
            )
            events.REDIS_LOST(
                queue=queue, error=notice.error, retry_ms=notice.retry_ms, unsettled=notice.unsettled, hint=hint
            )
        case told.RedisRegained():
            events.REDIS_REGAINED(queue=queue, away_ms=notice.away_ms)
        case told.WorkerStarted():
            events.WORKER_STARTED(queue=queue, worker=notice.worker, concurrency=notice.concurrency)
        case told.WorkerStopped():
            if notice.unsettled:
                hint = "Redis was away: these jobs run again once their locks expire"
                events.WORKER_UNSETTLED(queue=queue, worker=notice.worker, unsettled=notice.unsettled, hint=hint)
            events.WORKER_STOPPED(queue=queue, worker=notice.worker, handed_back=notice.handed_back)


def about(job: Job) -> dict[str, Any]:
    """Return what every event about a job carries; ids alone are taken from its data, never a text."""
    try:
        data = job.data
    except InvalidPayload:
        data = None
    ids = data if isinstance(data, Mapping) else {}
    return {
        "queue": job.queue_name,
        "job": job.name,
        "job_id": job.id,
        "organization_id": _short(ids.get("organizationId")),
        "instance_id": _short(ids.get("instanceId")),
        "attempt": job.attempt,
        "trace_id": _trace(job),
    }


def _short(value: object) -> str | None:
    # Producers other than ours may put anything there.
    return value[:60] if isinstance(value, str) else None


def _trace(job: Job) -> str | None:
    try:
        return carried(job.trace_context)
    except InvalidPayload:
        return None
