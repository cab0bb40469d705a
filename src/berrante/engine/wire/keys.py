"""The names of a queue's keys in Redis, as BullMQ 6 lays them out."""

import base64
from typing import Final

_SUFFIXES: Final = (
    "wait",
    "active",
    "paused",
    "prioritized",
    "delayed",
    "completed",
    "failed",
    "waiting-children",
    "stalled",
    "stalled-check",
    "limiter",
    "meta",
    "marker",
    "events",
    "id",
    "pc",
    "repeat",
)


class QueueKeys:
    """Every key of one queue; ``base`` is what BullMQ calls its key prefix.

    >>> keys = QueueKeys("message", prefix="bull")
    >>> keys.base, keys.waiting_children, keys.job("7"), keys.client_name("w1")
    ('bull:message:', 'bull:message:waiting-children', 'bull:message:7', 'bull:bWVzc2FnZQ==:w:w1')
    """

    wait: str
    active: str
    paused: str
    prioritized: str
    delayed: str
    completed: str
    failed: str
    waiting_children: str
    stalled: str
    stalled_check: str
    limiter: str
    meta: str
    marker: str
    events: str
    id: str
    pc: str
    repeat: str

    def __init__(self, queue: str, *, prefix: str = "bull") -> None:
        if not queue or ":" in queue:
            raise ValueError(f"queue name is {queue!r}: give a non-empty name without ':'")
        self.queue = queue
        self.prefix = prefix
        self.base = f"{prefix}:{queue}:"
        for suffix in _SUFFIXES:
            setattr(self, suffix.replace("-", "_"), self.base + suffix)

    @property
    def group_marker(self) -> str:
        """The bell of workers that know groups; see ``lua/groups.lua``."""
        return self.base + "groups:marker"

    def job(self, job_id: str) -> str:
        """Return the key of a job's hash."""
        return self.base + job_id

    def logs(self, job_id: str) -> str:
        """Return the key of a job's log lines."""
        return f"{self.base}{job_id}:logs"

    def state(self, name: str) -> str:
        """Return the key that holds the jobs of a state, or any other key of the queue by its suffix."""
        return self.base + name

    def metrics(self, target: str) -> str:
        """Return the key of the per-minute counts of ``completed`` or ``failed``."""
        return f"{self.base}metrics:{target}"

    def client_name(self, worker: str | None = None) -> str:
        """Return the connection name by which Node's ``getWorkers`` finds a worker in ``CLIENT LIST``."""
        # CLIENT SETNAME refuses spaces, so Node encodes; PyPI bullmq does not, and Node never sees its workers.
        encoded = base64.b64encode(self.queue.encode()).decode()
        return f"{self.prefix}:{encoded}" + (f":w:{worker}" if worker else "")
