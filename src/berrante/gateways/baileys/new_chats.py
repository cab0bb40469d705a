"""Writing to strangers: cold sends stop before WhatsApp stops them, warm chats go on."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from uuid import UUID

from berrante.gateways.baileys.refusals import refused
from berrante.gateways.protocol import SendError

#: Of the quota stays unused: other clients of the number write to strangers too.
_RESERVE: Final = 0.1
_LEAST_MS: Final = 1_000
_LOOK_MS: Final = 300_000  # it may be lifted sooner than it was said


class IsCold(Protocol):
    """Tells whether a contact is a stranger: neither wrote to the number, nor took a message of it."""

    async def __call__(self, *, organization_id: UUID, instance_id: str, address: str) -> bool:
        """Look it up."""
        ...


def most(told: Mapping[str, Any]) -> int | None:
    """Return how many strangers may be written to within the quota; None if there is no quota."""
    return math.floor(told["quota"] * (1 - _RESERVE)) if told["quota"] else None


def stop(told: Mapping[str, Any], *, now_ms: int) -> SendError | None:
    """Return why a stranger may not be written to now, as WhatsApp ``told``; None if one may.

    >>> told = {"locked": False, "locked_until": None, "quota": 10, "used": 9, "quota_ends": 5_000}
    >>> stop(told, now_ms=1_000).retry_after_ms
    4000
    >>> stop(told, now_ms=5_000)
    """
    if told["locked"] and _lasts(told["locked_until"], now_ms):
        return _stopped("WhatsApp lets the number start no new chats", told["locked_until"], now_ms)
    allowed = most(told)
    if allowed is not None and told["used"] >= allowed and _lasts(told["quota_ends"], now_ms):
        return _stopped(f"{told['used']} of {told['quota']} new chats are used", told["quota_ends"], now_ms)
    return None


def shown(told: Mapping[str, Any] | None, *, now_ms: int) -> dict[str, Any] | None:
    """Return it for people to see; None if WhatsApp told nothing."""
    if told is None:
        return None
    return {
        "stopped": stop(told, now_ms=now_ms) is not None,
        "locked_until": _moment(told["locked_until"], now_ms) if told["locked"] else None,
        "quota": told["quota"] or None,
        "used": told["used"],
        "quota_ends": _moment(told["quota_ends"], now_ms),
    }


def _lasts(until_ms: int | None, now_ms: int) -> bool:
    return until_ms is None or until_ms > now_ms


def _stopped(why: str, until_ms: int | None, now_ms: int) -> SendError:
    wait_ms = _LOOK_MS if until_ms is None else max(_LEAST_MS, min(_LOOK_MS, until_ms - now_ms))
    return refused({"code": "new_chats_stopped", "message": why, "retry_after_ms": wait_ms})


def _moment(at_ms: int | None, now_ms: int) -> str | None:
    if at_ms is None or at_ms <= now_ms:
        return None
    return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat()
