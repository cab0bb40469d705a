"""What holds, quality and token of a Cloud API number make of it: a decision without I/O."""

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # it is only named here; its package needs this one
    from collections.abc import Iterable

    from berrante.messaging.outbound.policy.holding import Hold

#: WhatsApp takes no call with this token: what a new token ends.
TOKEN_CODES: Final = ("0", "3", "10", "190", "131005", "no_access_token", *(str(code) for code in range(200, 300)))
#: The number is not registered with WhatsApp, or its certificate is wrong.
_UNREGISTERED: Final = frozenset({"131045", *(str(code) for code in range(133_000, 133_016))})
_WHOLE: Final = frozenset({"number", "account", "campaigns"})
_FLAGGED: Final = "FLAGGED"


class InstanceState(enum.StrEnum):
    """How a number stands with WhatsApp; a pause is the organization's own doing, and no state here."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    RESTRICTED = "restricted"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A state, and for others than ``connected`` why; ``until_ms`` if it ends by itself."""

    state: InstanceState
    code: str | None = None
    reason: str | None = None
    until_ms: int | None = None


def stops_whole_number(hold: "Hold") -> bool:
    """Tell whether a hold is of more than one template or contact."""
    return hold.what in _WHOLE


def standing(holds: "Iterable[Hold]", *, has_token: bool, quality: str | None) -> Standing:
    """Return how a number stands under the holds that it has now.

    >>> standing([], has_token=True, quality="FLAGGED").state.value
    'restricted'
    """
    if not has_token:
        return _out("no_access_token", "the number has no access token")
    whole = sorted(filter(stops_whole_number, holds), key=lambda hold: hold.campaigns_only)
    for hold in whole:
        if hold.code in TOKEN_CODES or hold.code in _UNREGISTERED:
            return _out(hold.code, hold.reason)
    if whole:
        hold = whole[0]
        return Standing(state=InstanceState.RESTRICTED, code=hold.code, reason=hold.reason, until_ms=hold.until_ms)
    if quality == _FLAGGED:
        return Standing(
            state=InstanceState.RESTRICTED, code=_FLAGGED, reason="WhatsApp flagged the number: its quality is low"
        )
    return Standing(state=InstanceState.CONNECTED)


def _out(code: str, reason: str) -> Standing:
    return Standing(state=InstanceState.DISCONNECTED, code=code, reason=reason)
