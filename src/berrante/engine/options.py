"""What may be said of a job, of a queue's rate and of a worker; frozen, typed, checked when made."""

from dataclasses import dataclass, field

from berrante.engine.policy.backoff import Backoff
from berrante.engine.policy.group_limits import GroupLimits
from berrante.engine.policy.retention import Retention

MAX_PRIORITY = 2**21 - 1
MAX_BATCH = 1_000  # what one turn brings
MAX_GROUP = 200  # characters: it stands in keys


@dataclass(frozen=True, kw_only=True, slots=True)
class Deduplication:
    """Of the jobs of one queue that share ``id``, only one is kept; adding another returns the id of that one.

    - simple, ``Deduplication(id="x")``: until the job is finished or removed;
    - throttle, with ``ttl_ms``: until so long after it was added, whether or not it is finished by then;
    - debounce, with ``ttl_ms``, ``extend`` and ``replace``, on jobs that are delayed: each new job takes the place of
      the one that still waits for its time, and the wait begins anew.

    ``extend`` counts ``ttl_ms`` from the last attempt to add. ``replace`` puts a new job in the place of one that is
    still delayed. ``keep_last_if_active`` keeps the last job that came while the kept one was running, and adds it
    when that one ends.

    >>> JobOptions(delay_ms=500, deduplication=Deduplication(id="typing-7", ttl_ms=500, extend=True, replace=True))
    ... # doctest: +ELLIPSIS
    JobOptions(..., delay_ms=500, ...)
    """

    id: str
    ttl_ms: int | None = None
    extend: bool = False
    replace: bool = False
    keep_last_if_active: bool = False

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("Deduplication.id is empty: give what the jobs have in common")
        if self.ttl_ms is not None and self.ttl_ms < 1:
            raise ValueError(f"Deduplication.ttl_ms is {self.ttl_ms}: give milliseconds, 1 or more, or None")
        if self.extend and self.ttl_ms is None:
            raise ValueError("Deduplication.extend has no ttl_ms to extend: give one")


@dataclass(frozen=True, kw_only=True, slots=True)
class JobOptions:
    """How one job is to be run.

    ``priority`` is 0 (none, runs first) to 2,097,151 (last), as in BullMQ. ``job_id`` makes the job unique in its
    queue: adding the same id again is a no-op as long as the first is kept. It may not contain ``:`` nor be a bare
    integer, since BullMQ uses both for its own. ``deduplication`` keeps jobs of one kind from piling up. ``group`` lets
    the job wait for the turn of a tenant, number or whatever else shares limits; see ``groups``.
    ``trace_context`` is the trace that the job belongs to, as text; ``omit_trace_context`` keeps the queue's out of it.
    ``letter`` is the id of the dead letter that the job was put back from.

    Raises ``ValueError`` that names the field and the remedy.

    >>> JobOptions(attempts=4, backoff=Backoff.exponential(2_000), priority=1).attempts
    4
    """

    attempts: int = 1
    backoff: Backoff | None = None
    delay_ms: int = 0
    priority: int = 0
    job_id: str | None = None
    lifo: bool = False
    keep_completed: Retention | None = None
    keep_failed: Retention | None = None
    keep_logs: int | None = None
    stack_trace_limit: int | None = None
    deduplication: Deduplication | None = None
    group: str | None = None
    trace_context: str | None = None
    omit_trace_context: bool = False
    letter: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "priority", int(self.priority))  # an IntEnum would be written by its name
        if self.attempts < 1:
            raise ValueError(f"JobOptions.attempts is {self.attempts}: give 1 or more")
        if self.delay_ms < 0:
            raise ValueError(f"JobOptions.delay_ms is {self.delay_ms}: give milliseconds, 0 or more")
        if not 0 <= self.priority <= MAX_PRIORITY:
            raise ValueError(f"JobOptions.priority is {self.priority}: give 0 (first) to {MAX_PRIORITY} (last)")
        if self.group is not None and not 1 <= len(self.group) <= MAX_GROUP:
            raise ValueError(f"JobOptions.group has {len(self.group)} characters: give 1 to {MAX_GROUP}, or None")
        if self.job_id is not None:
            if not self.job_id or ":" in self.job_id:
                raise ValueError(f"JobOptions.job_id is {self.job_id!r}: give a non-empty id without ':'")
            if self.job_id.isascii() and self.job_id.isdigit():
                raise ValueError(
                    f"JobOptions.job_id is {self.job_id!r}: bare integers are BullMQ's own ids; add a prefix"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class RateLimit:
    """At most ``max`` jobs start per window of ``duration_ms``, over all workers of the queue (BullMQ's fixed window).

    >>> RateLimit(max=100, duration_ms=60_000).max
    100
    """

    max: int
    duration_ms: int = 1_000

    def __post_init__(self) -> None:
        if self.max < 1:
            raise ValueError(f"RateLimit.max is {self.max}: give 1 or more")
        if self.duration_ms < 1:
            raise ValueError(f"RateLimit.duration_ms is {self.duration_ms}: give milliseconds, 1 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Up to ``size`` jobs are handled in one run; one that is not full begins ``wait_ms`` after its first job came.

    Jobs of a name in ``alone`` share a run with none but those of their group that were taken with them: they take
    long, and no other's outcome is to wait for theirs.

    >>> Batch(size=50, wait_ms=200).size
    50
    """

    size: int
    wait_ms: int = 0
    alone: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not 1 <= self.size <= MAX_BATCH:
            raise ValueError(f"Batch.size is {self.size}: give 1 to {MAX_BATCH}")
        if self.wait_ms < 0:
            raise ValueError(f"Batch.wait_ms is {self.wait_ms}: give milliseconds, 0 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerOptions:
    """How a worker takes and keeps jobs; times are in milliseconds and BullMQ's defaults.

    ``lock_ms`` is how long a silent worker keeps a job before others may have it; locks are renewed at half of it.
    ``dead_letters`` names the queue that receives a copy of each job that failed for good, in the same atomic step;
    None turns that off. ``keep_completed`` and ``keep_failed`` hold for jobs that do not say otherwise.

    A run that takes longer than ``job_timeout_ms`` is cancelled and is a failed attempt, "timed out after N ms"; None
    sets no bound. With ``batch`` the handler gets many jobs at once, and ``concurrency`` counts batches.

    ``groups`` limits every group that has no limits of its own (``Queue.groups.set``); it holds for all workers of the
    queue, and the worker that started last has the say. ``group_by`` names a key of job data that names the group of
    jobs that come without one, as from Node: such a job is filed when a worker first comes to it.

    ``name`` is written on each job that the worker runs (BullMQ's ``pb``, some 50 bytes); without one, nothing is, and
    the worker is listed and logged by its host and process.
    """

    concurrency: int = 1
    rate: RateLimit | None = None
    lock_ms: int = 30_000
    stalled_interval_ms: int = 30_000
    max_stalled: int = 1
    block_ms: int = 5_000
    stop_deadline_ms: int = 8_000
    job_timeout_ms: int | None = None
    batch: Batch | None = None
    groups: GroupLimits | None = None
    group_by: str | None = None
    keep_completed: Retention = field(default_factory=Retention.everything)
    keep_failed: Retention = field(default_factory=Retention.everything)
    metrics_minutes: int | None = None
    dead_letters: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        for name in ("concurrency", "lock_ms", "stalled_interval_ms", "block_ms"):
            if getattr(self, name) < 1:
                raise ValueError(f"WorkerOptions.{name} is {getattr(self, name)}: give 1 or more")
        for name in ("max_stalled", "stop_deadline_ms"):
            if getattr(self, name) < 0:
                raise ValueError(f"WorkerOptions.{name} is {getattr(self, name)}: give 0 or more")
        if self.job_timeout_ms is not None and self.job_timeout_ms < 1:
            raise ValueError(f"WorkerOptions.job_timeout_ms is {self.job_timeout_ms}: give 1 or more, or None")
