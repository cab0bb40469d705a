"""Every address of Bull Board's API, and who answers it; ``docs/bull-board.md`` lists them for people."""

from dataclasses import dataclass
from typing import Final

from berrante.web.board import flows, job_actions, listing, queue_actions, reading, scheduler_actions
from berrante.web.board.asked import OfBoard, OfJob, OfQueue

_QUEUE: Final = "/api/queues/{queue}"
_SCHEDULER: Final = f"{_QUEUE}/job-schedulers/{{scheduler}}"
_JOB: Final = f"{_QUEUE}/{{job}}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address; ``action`` is what the audit log calls a write, None for a read."""

    method: str
    path: str
    action: str | None
    board: OfBoard | None = None
    queue: OfQueue | None = None
    job: OfJob | None = None


def _read(
    path: str, *, board: OfBoard | None = None, queue: OfQueue | None = None, job: OfJob | None = None
) -> Endpoint:
    return Endpoint("GET", path, None, board, queue, job)


def _write(method: str, path: str, action: str, handler: OfQueue) -> Endpoint:
    return Endpoint(method, path, action, queue=handler)


def _change(method: str, path: str, action: str, handler: OfJob) -> Endpoint:
    return Endpoint(method, path, action, job=handler)


#: The first that fits answers: addresses with a word stand before those that take any id in its place.
ENDPOINTS: Final = (
    _read("/api/redis/stats", board=reading.redis_stats),
    _read("/api/queues", board=listing.list_queues),
    _read("/api/job-schedulers", board=scheduler_actions.list_schedulers),
    _read(f"{_QUEUE}/metrics", queue=reading.metrics),
    _read(f"{_QUEUE}/default-job-options", queue=reading.job_defaults),
    _read(f"{_QUEUE}/workers", queue=reading.workers),
    _read(f"{_QUEUE}/rate-limit", queue=reading.rate_limit),
    _read(f"{_QUEUE}/job-data-schema", queue=reading.job_schema),
    _read(f"{_JOB}/logs", queue=reading.job_logs),
    _read(f"{_JOB}/flow", job=flows.job_flow),
    _read(_JOB, job=reading.job),
    Endpoint("PUT", "/api/queues/pause", "queues.pause_all", board=queue_actions.pause_all),
    Endpoint("PUT", "/api/queues/resume", "queues.resume_all", board=queue_actions.resume_all),
    _write("POST", f"{_QUEUE}/add", "queue.add", queue_actions.add),
    _write("PUT", f"{_QUEUE}/retry/{{status}}", "queue.retry_all", queue_actions.retry_all),
    _write("PUT", f"{_QUEUE}/promote", "queue.promote_all", queue_actions.promote_all),
    _write("PUT", f"{_QUEUE}/clean/{{status}}", "queue.clean", queue_actions.clean),
    _write("PUT", f"{_QUEUE}/pause", "queue.pause", queue_actions.pause),
    _write("PUT", f"{_QUEUE}/resume", "queue.resume", queue_actions.resume),
    _write("PUT", f"{_QUEUE}/concurrency", "queue.set_concurrency", queue_actions.set_concurrency),
    _write("PUT", f"{_QUEUE}/rate-limit", "queue.set_rate", queue_actions.set_rate),
    _write("PUT", f"{_QUEUE}/rate-limit/release", "queue.release_rate", queue_actions.release),
    _write("PUT", f"{_QUEUE}/empty", "queue.empty", queue_actions.empty),
    _write("PUT", f"{_QUEUE}/obliterate", "queue.obliterate", queue_actions.obliterate),
    _write("PUT", f"{_SCHEDULER}/remove", "scheduler.remove", scheduler_actions.remove),
    _write("PATCH", _SCHEDULER, "scheduler.update", scheduler_actions.update),
    _write("PUT", f"{_SCHEDULER}/run", "scheduler.run", scheduler_actions.run),
    _change("PUT", f"{_JOB}/retry", "job.retry", job_actions.retry),
    _change("PUT", f"{_JOB}/clean", "job.remove", job_actions.remove),
    _change("PUT", f"{_JOB}/promote", "job.promote", job_actions.promote),
    _change("PATCH", f"{_JOB}/update-data", "job.update_data", job_actions.update_data),
    _change("PATCH", f"{_JOB}/delay", "job.change_delay", job_actions.change_delay),
    _change("PATCH", f"{_JOB}/priority", "job.change_priority", job_actions.change_priority),
    _change("PUT", f"{_JOB}/remove-unprocessed-children", "job.remove_children", flows.remove_unprocessed_children),
)

#: Addresses of the UI itself, which all are its one page.
PAGES: Final = ("/", "/metrics-history", "/job-schedulers", "/queue/{queue}", "/queue/{queue}/{job}")
