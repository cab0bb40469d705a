"""What made a job fail for good: the one place where the key of a group of dead letters is computed. No I/O."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from berrante.engine import InvalidPayload, Job

#: Codes that many different failures share; those are told apart by their reason.
_VAGUE: Final = frozenset({"unrecoverable", "engine_error", "messaging_error", "invalid", "missing"})
#: Scopes of failures that belong to one number, so that another number's are another group.
_OF_A_NUMBER: Final = frozenset({"number", "account"})
_LONGEST: Final = 160

#: What differs from job to job and says nothing of the cause, the most telling form first.
_VARYING: Final = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE), "…"),
    (re.compile(r"'[^'\n]*'|\"[^\"\n]*\""), "'…'"),
    (re.compile(r"\b0x[0-9a-f]+\b|\b(?=[0-9a-f]*\d)[0-9a-f]{12,}\b", re.IGNORECASE), "…"),
    (re.compile(r"\+?\d+(?:[.,:]\d+)*"), "…"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """What the letters of one group have in common.

    ``code`` is the error's own, or else the reason without what differs from job to job. ``number`` is an instance's id
    and is there only if the failure belongs to that number; ``template`` only if it speaks of one.
    """

    queue: str
    code: str
    scope: str | None = None
    template: str | None = None
    number: str | None = None

    @property
    def id(self) -> str:
        """A short name of the group, the same in every process and at every time."""
        parts = (self.queue, self.code, self.scope, self.template, self.number)
        return hashlib.sha256("\0".join(part or "" for part in parts).encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """One dead letter, read; times are milliseconds since the epoch.

    ``retried_as`` is the id of the job that it became when it was put back. A letter that somebody else wrote, and not
    as our workers do, has ``readable`` false.
    """

    id: str
    cause: Cause
    readable: bool
    name: str
    job_id: str
    reason: str
    failed_at_ms: int
    attempts_made: int
    organization_id: str | None
    instance_id: str | None
    data: Any
    stacktrace: tuple[str, ...]
    retried_from: str | None
    retried_as: str | None


def cause_of(told: Mapping[str, Any]) -> Cause:
    """Compute the cause from a letter's data.

    >>> error = {"type": "SendError", "code": "130429", "scope": "number"}
    >>> cause_of({"queue": "outbound", "failedReason": "slow down", "data": {"instanceId": "shop"}, "error": error})
    Cause(queue='outbound', code='130429', scope='number', template=None, number='shop')
    >>> cause_of({"queue": "message", "failedReason": "instance 'x1' has no message 42"}).code
    "instance '…' has no message …"
    """
    error, data = _mapping(told.get("error")), _mapping(told.get("data"))
    code, scope = _text(error.get("code")), _text(error.get("scope"))
    template = _text(error.get("template")) or (_text(data.get("template")) if scope == "template" else None)
    return Cause(
        queue=_text(told.get("queue")) or "unknown",
        code=code if code and code not in _VAGUE else pattern(_text(told.get("failedReason")) or "no reason"),
        scope=scope,
        template=template,
        number=_text(data.get("instanceId")) if scope in _OF_A_NUMBER else None,
    )


def pattern(reason: str) -> str:
    """Return a reason's first line without ids, numbers and quoted words.

    >>> pattern("timed out after 30000 ms")
    'timed out after … ms'
    """
    line = (reason.strip().splitlines() or [""])[0][: 4 * _LONGEST]
    for varying, shown in _VARYING:
        line = varying.sub(shown, line)
    return line[:_LONGEST]


def read_letter(job: Job) -> Letter:
    """Read a dead letter, whoever wrote it: what is missing is shown as missing."""
    try:
        told = _mapping(job.data)
        result = _mapping(job.return_value)
    except InvalidPayload as error:
        told, result = {"failedReason": str(error)}, {}
    data = _mapping(told.get("data"))
    failed_at, attempts = told.get("failedAt"), told.get("attemptsMade")
    traces = told.get("stacktrace")
    return Letter(
        id=job.id,
        cause=cause_of(told),
        readable={"queue", "jobId", "name", "data", "failedAt"} <= told.keys(),
        name=_text(told.get("name")) or job.name,
        job_id=_text(told.get("jobId")) or "unknown",
        reason=_text(told.get("failedReason")) or "no reason",
        failed_at_ms=failed_at if isinstance(failed_at, int) else job.timestamp_ms,
        attempts_made=attempts if isinstance(attempts, int) else 0,
        organization_id=_text(data.get("organizationId")),
        instance_id=_text(data.get("instanceId")),
        data=told.get("data"),
        stacktrace=tuple(str(trace) for trace in traces) if isinstance(traces, list) else (),
        retried_from=_text(_mapping(told.get("opts")).get("letter")),
        retried_as=_text(result.get("jobId")),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
