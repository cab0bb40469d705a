"""What the scripts' negative answers mean."""

from enum import IntEnum
from typing import NoReturn

from berrante.engine.errors import EngineError, JobMissing, JobNotInState, LockLost


class Code(IntEnum):
    """BullMQ's ``ErrorCode``, by value."""

    MISSING = -1
    LOCK_MISSING = -2
    NOT_IN_STATE = -3
    PENDING_CHILDREN = -4
    PARENT_MISSING = -5
    LOCK_MISMATCH = -6
    PARENT_REPLACED = -7
    SCHEDULERS_JOB = -8
    FAILED_CHILDREN = -9
    SCHEDULER_ID_TAKEN = -10
    SCHEDULER_SLOTS_BUSY = -11


_NAMES = {code.value: code.name.lower().replace("_", " ") for code in Code}

#: The job is no longer ours: nothing that we do to it may count.
LOST = frozenset({Code.MISSING, Code.LOCK_MISSING, Code.NOT_IN_STATE, Code.LOCK_MISMATCH})

#: A parent cannot complete for these reasons, which its handler can mend (``Job.remove_unprocessed_children``).
UNFINISHED_CHILDREN = {
    Code.PENDING_CHILDREN: "cannot complete: it has children that are not done",
    Code.FAILED_CHILDREN: "cannot complete: a child of it failed",
}


def raise_for(code: int, *, job_id: str, during: str, state: str = "active") -> NoReturn:
    """Raise the error that a script's answer stands for."""
    if code == Code.MISSING:
        raise JobMissing(job_id, during=during)
    if code in (Code.LOCK_MISSING, Code.LOCK_MISMATCH):
        raise LockLost(job_id, during=during)
    if code == Code.NOT_IN_STATE:
        raise JobNotInState(job_id, needed=state, during=during)
    name = _NAMES.get(code, f"code {code}")
    raise EngineError(f"{during} of job {job_id!r} was refused: {name}")
