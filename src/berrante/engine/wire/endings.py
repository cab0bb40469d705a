"""How a run of a job can end: plain values, said to Redis by ``finishing`` or, many at once, by ``exchanging``."""

import msgspec

from berrante.engine.policy.retention import Retention
from berrante.engine.wire.codec import Json


class Failure(msgspec.Struct, frozen=True, gc=False):
    """Why a run failed, and the traces of all failed runs that are kept, the latest last."""

    reason: str
    stacktrace: list[str]


class Burial(msgspec.Struct, frozen=True):
    """The dead letter that is added in the same step as the final failure."""

    job_id: str
    name: str
    data: Json


class Complete(msgspec.Struct, frozen=True, gc=False):
    """The job is done; ``value`` is JSON."""

    value: bytes
    keep: Retention
    attempts: int


class Fail(msgspec.Struct, frozen=True):
    """The job failed for good; the parent's options say what that means to a parent."""

    failure: Failure
    keep: Retention
    attempts: int
    parent_options: dict[str, bool]
    burial: Burial | None


class Delay(msgspec.Struct, frozen=True):
    """The job runs again after ``delay_ms``; ``charged`` says whether this run used an attempt."""

    delay_ms: int
    charged: bool
    failure: Failure | None


class Retry(msgspec.Struct, frozen=True):
    """The job runs again at once, behind those that wait, or before them with ``lifo``."""

    lifo: bool
    failure: Failure


class HandBack(msgspec.Struct, frozen=True):
    """The job returns to the head, uncharged; the whole queue rests for ``rest_ms``, if any."""

    rest_ms: int = 0


Ending = Complete | Fail | Delay | Retry | HandBack
