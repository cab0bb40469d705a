"""Time as the domain keeps it: an injected clock in milliseconds, points in time in the database."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

Clock = Callable[[], int]  # milliseconds since the epoch

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def moment(ms: int) -> datetime:
    """Return the point in time, exactly.

    >>> moment(1_700_000_000_123).isoformat()
    '2023-11-14T22:13:20.123000+00:00'
    """
    return _EPOCH + ms * _MILLISECOND


def milliseconds(at: datetime) -> int:
    """Return the milliseconds since the epoch, rounded down.

    >>> milliseconds(moment(1_700_000_000_123))
    1700000000123
    """
    return (at - _EPOCH) // _MILLISECOND
