"""Jobs, options and schedulers in the shapes that Bull Board's UI reads (``AppJob`` and the like)."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from berrante.engine import InvalidPayload, Job, Scheduler

Json = Any
T = TypeVar("T")

#: BullMQ stores some options under short names; people and the UI see the long ones.
LONG_NAMES: Final = {
    "de": "deduplication",
    "fpof": "failParentOnFailure",
    "cpof": "continueParentOnFailure",
    "idof": "ignoreDependencyOnFailure",
    "kl": "keepLogs",
    "rdof": "removeDependencyOnFailure",
}
_TELEMETRY: Final = {"tm": "metadata", "omc": "omitContext"}


def format_job(job: Job) -> dict[str, Json]:
    """Return a job as the UI reads it; what cannot be read is shown as it stands, so that it can be seen at all."""
    options = {"attempts": 0} | long_names(readable(lambda: job.raw_options, {}))
    traces: list[str] = readable(lambda: job.stacktrace, [])
    stacktrace = [trace for trace in reversed(traces) if trace]
    shown = {
        "id": job.id,
        "name": job.name,
        "timestamp": job.timestamp_ms,
        "processedOn": job.processed_on_ms,
        "processedBy": job.processed_by,
        "finishedOn": job.finished_on_ms,
        "progress": readable(lambda: job.progress, 0),
        "attempts": job.attempts_made,
        "delay": job.delay_ms,
        "failedReason": job.failed_reason,
        "stacktrace": stacktrace,
        "opts": options,
        "data": readable(lambda: {} if job.data is None else job.data, job.raw_data.decode("utf-8", "replace")),
        "isFailed": bool(job.failed_reason or stacktrace),
        "groupId": _group(options),
        "priority": job.priority or None,
        "attemptsStarted": job.attempts_started if job.attempts_started > job.attempts_made else None,
        "stalledCounter": job.stalled_count or None,
        "deduplicationId": job.deduplication_id,
        "deferredFailure": job.deferred_failure,
    }
    return without_none(shown) | {"returnValue": readable(lambda: job.return_value, job.raw_return_value)}


def long_names(stored: Json) -> dict[str, Json]:
    """Return stored options by the names that people write."""
    options: dict[str, Json] = {}
    said: Mapping[str, Json] = stored if isinstance(stored, Mapping) else {}
    for name, value in said.items():
        if name in _TELEMETRY:
            options.setdefault("telemetry", {})[_TELEMETRY[name]] = value
        elif name != "repeatJobKey":
            options[LONG_NAMES.get(name, name)] = value
    return options


def format_scheduler(scheduler: Scheduler, queue: str) -> dict[str, Json]:
    """Return a scheduler as the UI reads it, without its runs."""
    template = {} if scheduler.data is None else {"data": scheduler.data}
    if scheduler.raw_options:
        template["opts"] = long_names(scheduler.raw_options)
    return without_none(
        {
            "id": scheduler.id,
            "queueName": queue,
            "name": scheduler.name,
            "pattern": scheduler.cron,
            "every": scheduler.every_ms,
            "tz": scheduler.tz,
            "limit": scheduler.limit,
            "startDate": scheduler.start_ms,
            "endDate": scheduler.end_ms,
            "next": scheduler.next_ms,
            "iterationCount": scheduler.iterations or None,
            "template": template or None,
        }
    )


def readable(read: Callable[[], T], otherwise: T) -> T:
    """Return what ``read`` returns, or ``otherwise`` if a job holds something that is not JSON."""
    try:
        return read()
    except InvalidPayload:
        return otherwise


def without_none(fields: Mapping[str, Json]) -> dict[str, Json]:
    """Leave out what was not said, as JavaScript's JSON does."""
    return {name: value for name, value in fields.items() if value is not None}


def _group(options: Mapping[str, Json]) -> str | None:
    group = options.get("group")
    return group.get("id") if isinstance(group, dict) else None
