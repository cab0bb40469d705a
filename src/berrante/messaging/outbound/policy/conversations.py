"""Who may be written to at all: the 24 hours after a contact wrote, and how many people a portfolio may write to first.

Meta, "Messaging limits" and "Customer service windows".
"""

import re
from dataclasses import dataclass
from typing import Final

from berrante.gateways.protocol import Content, ReactionContent, SendError, TemplateContent
from berrante.gateways.refusals import refused

WINDOW_MS: Final = 24 * 3_600_000
_TIER: Final = re.compile(r"(?:TIER_)?(?P<number>[0-9]{1,9})(?P<thousands>K?)")


def is_open(last_wrote_ms: int | None, *, now_ms: int) -> bool:
    """Tell whether the contact wrote within 24 hours, so that anything may be answered.

    >>> is_open(0, now_ms=WINDOW_MS - 1), is_open(0, now_ms=WINDOW_MS), is_open(None, now_ms=0)
    (True, False, False)
    """
    return last_wrote_ms is not None and now_ms - last_wrote_ms < WINDOW_MS


def outside_window(content: Content) -> SendError | None:
    """Return why this cannot go to a contact who has not written for 24 hours; None for what may."""
    if isinstance(content, TemplateContent):
        return None
    what = "a reaction" if isinstance(content, ReactionContent) else f"a message of type {content.type}"
    return refused(
        "131047",
        f"the contact has not written for 24 hours, and {what} may only answer: send an approved template instead",
    )


@dataclass(frozen=True, slots=True)
class Room:
    """Whether a portfolio may write to one more person first, and if not, when it may."""

    fits: bool
    delay_ms: int = 0


def room(limit: int | None, *, used: int, oldest_ms: int | None, now_ms: int) -> Room:
    """Decide on one more person; ``used`` were written to first in the last 24 hours, the earliest at ``oldest_ms``.

    >>> room(250, used=249, oldest_ms=0, now_ms=1_000).fits, room(250, used=250, oldest_ms=0, now_ms=1_000).delay_ms
    (True, 86399000)
    """
    if limit is None or used < limit:
        return Room(fits=True)
    first_ms = now_ms if oldest_ms is None else oldest_ms
    return Room(fits=False, delay_ms=max(1_000, first_ms + WINDOW_MS - now_ms))


def limit_of(tier: str | int | None) -> int | None:
    """Return how many people a tier of Meta's stands for; None for no limit, or a tier that is not known.

    >>> limit_of("TIER_250"), limit_of("TIER_2K"), limit_of("TIER_UNLIMITED"), limit_of(-1)
    (250, 2000, None, None)
    """
    match = _TIER.fullmatch(str(tier).upper())
    if match is None:
        return None
    return int(match["number"]) * (1_000 if match["thousands"] else 1) or None
