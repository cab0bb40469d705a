"""Reading a job's data: JSON with camelCase keys, from our own producers or from Node."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec

from berrante.engine import Job, Unrecoverable
from berrante.messaging.clock import milliseconds
from berrante.messaging.errors import Invalid


class Payload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The data of one kind of job; unknown keys are let through, since newer producers may add some."""


P = TypeVar("P", bound=Payload)
T = TypeVar("T")

_YEAR_2001_MS: Final = 1_000_000_000_000
_YEAR_3000_MS: Final = 32_503_680_000_000
_DIGITS: Final = re.compile(r"\d{1,16}")


def read(job: Job, kind: type[P]) -> P:
    """Return the job's data as ``kind``; raises ``Unrecoverable`` that names the field which is missing or wrong."""
    try:
        return msgspec.convert(job.data, kind)
    except msgspec.ValidationError as error:
        raise Unrecoverable(f"job {job.name!r} has malformed data: {error}") from error


def checked(check: Callable[[], T]) -> T:
    """Return what ``check`` returns; a value that it finds invalid is ``Unrecoverable``, since it stays as it is."""
    try:
        return check()
    except Invalid as error:
        raise Unrecoverable(str(error)) from error


def point_in_time(value: float | str, *, field: str) -> int:
    """Return milliseconds since the epoch from milliseconds, as a number or digits, or from ISO 8601.

    ISO without an offset is UTC. Raises ``Invalid``; seconds are refused, not guessed.

    >>> point_in_time("2023-11-14T22:13:20.123Z", field="sentAt"), point_in_time(1_700_000_000_123, field="sentAt")
    (1700000000123, 1700000000123)
    """
    try:
        if isinstance(value, str) and not _DIGITS.fullmatch(value):
            at = datetime.fromisoformat(value)
            ms = milliseconds(at if at.tzinfo else at.replace(tzinfo=UTC))
        else:
            ms = int(value)
    except (ValueError, OverflowError) as error:
        raise Invalid(field, f"is {str(value)[:40]!r}", remedy="give milliseconds or ISO 8601") from error
    if not _YEAR_2001_MS <= ms <= _YEAR_3000_MS:
        raise Invalid(field, f"is {value!r}", remedy="give milliseconds since 1970, of this millennium")
    return ms
