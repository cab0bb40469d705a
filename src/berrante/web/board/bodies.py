"""What requests say, read and checked; each refusal has the UI's own word for it."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import unquote

from berrante.engine import InvalidPayload, JobOptions, Queue, RateLimit, State
from berrante.engine.options import MAX_PRIORITY
from berrante.engine.wire.codec import read_options_of, write_options
from berrante.web.board.errors import invalid
from berrante.web.board.formatting import LONG_NAMES, long_names

Json = Any

LATEST: Final = "latest"
#: The order of the UI's tabs.
STATES: Final = (
    State.ACTIVE,
    State.WAITING,
    State.WAITING_CHILDREN,
    State.PRIORITIZED,
    State.COMPLETED,
    State.FAILED,
    State.DELAYED,
)
_MOST_PER_PAGE: Final = 300
_SHORT_NAMES: Final = {long: short for short, long in LONG_NAMES.items()}
_UNDERSTOOD: Final = frozenset(
    {"attempts", "backoff", "delay", "priority", "lifo", "removeOnComplete", "removeOnFail", "keepLogs",
     "stackTraceLimit", "deduplication"}
)  # fmt: skip
#: What a copied job's options hold that was about the first job alone: its times, its schedule, its family.
_OF_THE_FIRST: Final = frozenset(
    {"timestamp", "prevMillis", "repeat", "repeatJobKey", "parent", "count", "sizeLimit", "failParentOnFailure",
     "continueParentOnFailure", "ignoreDependencyOnFailure", "removeDependencyOnFailure"}
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """Which jobs of which queue the listing is to hold; ``state`` None is the latest of each."""

    queue: str
    state: State | None
    page: int
    per_page: int

    @property
    def start(self) -> int:
        """The first job of the page."""
        return 0 if self.state is None else (self.page - 1) * self.per_page

    @property
    def end(self) -> int:
        """The last job of the page."""
        return self.start + self.per_page - 1


def listing(query: Mapping[str, str]) -> Listing:
    """Read the query of the listing."""
    status = query.get("status") or LATEST
    if status not in {LATEST, *STATES, "paused"}:
        raise invalid("INVALID_QUERY_PARAM", field="status")
    return Listing(
        queue=unquote(query.get("activeQueue") or ""),
        # Version 6 keeps no job in ``paused``: what was there waits.
        state=None if status == LATEST else State.WAITING if status == "paused" else State(status),
        page=_in_range(query.get("page"), "page", otherwise=1, most=None),
        per_page=_in_range(query.get("jobsPerPage"), "jobsPerPage", otherwise=10, most=_MOST_PER_PAGE),
    )


def window(query: Mapping[str, str]) -> tuple[int, int]:
    """Read how many levels and children of a family are wanted; what is beyond reason is brought within it."""
    return _clamped(query.get("depth"), 10, 20), _clamped(query.get("maxChildren"), 20, 1_000)


def new_job(body: Json, queue: Queue) -> tuple[str, Json, JobOptions]:
    """Read a job to add: its name, data, and its options over the queue's defaults."""
    name, options = _object(body).get("name", ""), body.get("options") or {}
    if not isinstance(name, str):
        raise invalid(field="name")
    if not isinstance(options, dict):
        raise invalid(field="options")
    data = body.get("data")
    return name, {} if data is None else data, job_options(options, queue)


def job_options(said: Mapping[str, Json], queue: Queue) -> JobOptions:
    """Read options by BullMQ's names, over the queue's defaults; those that nobody here knows are refused."""
    if unknown := sorted(said.keys() - _UNDERSTOOD - _OF_THE_FIRST - {"jobId", "telemetry"}):
        raise invalid(field="options", message=f"options.{unknown[0]} is not an option of jobs: leave it out")
    job_id, telemetry = said.get("jobId"), said.get("telemetry") or {}
    if job_id is not None and not isinstance(job_id, str):
        raise invalid(field="options", message="options.jobId is to be text")
    wire = write_options(queue.defaults) | {
        _SHORT_NAMES.get(name, name): value for name, value in said.items() if name in _UNDERSTOOD
    }
    try:
        read = read_options_of(wire, job_id=job_id or "(new)")
        return replace(
            read,
            job_id=job_id or None,
            trace_context=telemetry.get("metadata"),
            omit_trace_context=bool(telemetry.get("omitContext")),
        )
    except (InvalidPayload, ValueError, AttributeError, TypeError) as error:
        raise invalid(field="options", message=str(error)) from error


def default_options(queue: Queue) -> dict[str, Json]:
    """Return a queue's default options by BullMQ's names; {} if nothing was said of them."""
    return {} if queue.defaults == JobOptions() else long_names(write_options(queue.defaults))


def concurrency(body: Json) -> int:
    """Read a bound on concurrency; 0 is none."""
    return _integer(_object(body).get("concurrency"), "INVALID_CONCURRENCY", least=0)


def rate(body: Json) -> RateLimit | None:
    """Read a rate; None takes it away."""
    if _object(body).get("max") is None:
        return None
    return RateLimit(
        max=_integer(body["max"], "INVALID_RATE_LIMIT"),
        duration_ms=_integer(body.get("duration"), "INVALID_RATE_LIMIT"),
    )


def force(body: Json) -> bool:
    """Read whether active jobs are to be removed too."""
    value = _object(body).get("force", False)
    if not isinstance(value, bool):
        raise invalid(field="force")
    return value


def run_at(body: Json) -> int:
    """Read when a delayed job is to run, in milliseconds since the epoch."""
    value = _object(body).get("runAt")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise invalid("INVALID_RUN_AT")
    return int(value)


def priority(body: Json) -> int:
    """Read a priority."""
    value = _object(body).get("priority")
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_PRIORITY:
        raise invalid("INVALID_PRIORITY")
    return value


def job_data(body: Json) -> Json:
    """Read a job's new data."""
    if "jobData" not in _object(body):
        raise invalid(field="jobData")
    return body["jobData"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """When a scheduler is to make jobs."""

    cron: str | None
    every_ms: int | None
    tz: str | None
    limit: int | None
    end_ms: int | None


def schedule(body: Json) -> Schedule:
    """Read a schedule: a pattern or an interval, never both."""
    said = _object(body)
    for name in ("pattern", "tz"):
        if not isinstance(said.get(name, ""), str):
            raise invalid(field=name)
    cron, every = said.get("pattern", "").strip() or None, said.get("every")
    if (cron is None) == (every is None):
        raise invalid("INVALID_SCHEDULER_SCHEDULE")
    limit, end = said.get("limit"), said.get("endDate")
    end_ms = None if end is None else int(_number(end, "INVALID_SCHEDULER_END_DATE"))
    if end_ms is not None and end_ms <= time.time() * 1_000:
        raise invalid("INVALID_SCHEDULER_END_DATE")
    return Schedule(
        cron=cron,
        every_ms=None if cron else _interval(every),
        tz=said.get("tz", "").strip() or None,
        limit=None if limit is None else _integer(limit, "INVALID_SCHEDULER_LIMIT"),
        end_ms=end_ms,
    )


def _interval(value: Json) -> int:
    every_ms = int(_number(value, "INVALID_SCHEDULER_INTERVAL"))
    if every_ms < 1:
        raise invalid("INVALID_SCHEDULER_INTERVAL")
    return every_ms


def _object(body: Json) -> dict[str, Json]:
    if not isinstance(body, dict):
        raise invalid()
    return body


def _integer(value: Json, key: str, *, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise invalid(key)
    return value


def _number(value: Json, key: str) -> float:
    # A form's field comes as text.
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise invalid(key)
    return number


def _in_range(text: str | None, field: str, *, otherwise: int, most: int | None) -> int:
    if not text:
        return otherwise
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if value < 1 or (most is not None and value > most):
        raise invalid("INVALID_QUERY_PARAM", field=field)
    return value


def _clamped(text: str | None, otherwise: int, most: int) -> int:
    try:
        return min(max(int(text or ""), 1), most)
    except ValueError:
        return otherwise
