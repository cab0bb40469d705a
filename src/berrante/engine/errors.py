"""The engine's errors.

EngineError
├── Unrecoverable     raised by a handler: fail for good, no further attempt
├── JobTimedOut       a run took longer than the worker allows
├── LockLost          another worker holds the lock, or it expired while we ran
├── JobMissing        the job is not there (any more)
├── JobNotInState     the job is in another state than the operation needs
├── JobDidFail        the job that was waited for failed for good
├── HasOtherParent    the job is the child of another job
├── QueueBusy         the queue has active jobs, or is not paused, where it must not be
├── InvalidPayload    a job's data or options cannot be read
└── IncompatibleScripts   the installed Lua is not what this engine was tested with
"""

from typing import ClassVar


class EngineError(Exception):
    """Anything that the queue engine raises on purpose."""

    code: ClassVar[str] = "engine_error"


class Unrecoverable(EngineError):
    """Retrying cannot help: fail the job for good, whatever attempts remain.

    >>> raise Unrecoverable("no such instance: 'x1'")
    Traceback (most recent call last):
    ...
    berrante.engine.errors.Unrecoverable: no such instance: 'x1'
    """

    code = "unrecoverable"


class JobTimedOut(EngineError):
    """A run took longer than the worker allows, and was cancelled."""

    code = "job_timed_out"

    def __init__(self, timeout_ms: int) -> None:
        super().__init__(f"timed out after {timeout_ms} ms")
        self.timeout_ms = timeout_ms


class LockLost(EngineError):
    """Another worker holds the lock, or it expired while we ran."""

    code = "lock_lost"

    def __init__(self, job_id: str, *, during: str) -> None:
        super().__init__(f"lost the lock on job {job_id!r} during {during}")
        self.job_id = job_id


class JobMissing(EngineError):
    """The job is not there (any more)."""

    code = "job_missing"

    def __init__(self, job_id: str, *, during: str) -> None:
        super().__init__(f"job {job_id!r} was not found during {during}")
        self.job_id = job_id


class JobNotInState(EngineError):
    """The job is in another state than the operation needs."""

    code = "job_not_in_state"

    def __init__(self, job_id: str, *, needed: str, during: str) -> None:
        super().__init__(f"job {job_id!r} is not {needed}, as {during} needs")
        self.job_id = job_id
        self.needed = needed


class JobDidFail(EngineError):
    """The job that was waited for failed for good; ``reason`` is its ``failed_reason``.

    ``notices.JobFailed`` is something else: what a worker tells its listener.
    """

    code = "job_did_fail"

    def __init__(self, job_id: str, *, reason: str) -> None:
        super().__init__(f"job {job_id!r} failed: {reason}")
        self.job_id = job_id
        self.reason = reason


class HasOtherParent(EngineError):
    """The job that was to become a child is already the child of another job that is still there."""

    code = "has_other_parent"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id!r} was not made a child: it is the child of another job that is still there")
        self.job_id = job_id


class QueueBusy(EngineError):
    """The queue has active jobs, or is not paused, where it must not be."""

    code = "queue_busy"

    def __init__(self, queue: str, *, reason: str) -> None:
        super().__init__(f"queue {queue!r} {reason}")
        self.queue = queue


class InvalidPayload(EngineError):
    """A job's data or options cannot be read as the JSON that BullMQ writes."""

    code = "invalid_payload"

    def __init__(self, job_id: str, *, field: str, reason: str) -> None:
        super().__init__(f"job {job_id!r} has unreadable {field}: {reason}")
        self.job_id = job_id
        self.field = field


class IncompatibleScripts(EngineError):
    """The installed Lua is not what this engine was tested with."""

    code = "incompatible_scripts"

    def __init__(self, *, installed: str, tested: str) -> None:
        super().__init__(
            f"the installed package bullmq {installed} has other Lua scripts than the tested {tested}: "
            f"install bullmq=={tested}"
        )
