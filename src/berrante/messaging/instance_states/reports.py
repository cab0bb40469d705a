"""What a sidecar's report makes of a number on Baileys: a decision without I/O."""

from collections.abc import Mapping
from typing import Any, Final

from berrante.messaging.fields import storable
from berrante.messaging.instance_states.deciding import InstanceState, Standing

#: The subject, and the kind, of the update that a report is.
CONNECTION: Final = "connection"
#: What a number is that no account opens.
NOT_PAIRED: Final = Standing(
    state=InstanceState.DISCONNECTED, code="not_paired", reason="the number is not paired: connect it"
)
_CONNECTED: Final = Standing(state=InstanceState.CONNECTED)
# The link will not come back by itself. Nothing became of a pairing that nobody finished: ``expired`` is not here.
_ENDED: Final[Mapping[str, Standing]] = {
    "absent": NOT_PAIRED,
    "logged_out": Standing(
        state=InstanceState.DISCONNECTED,
        code="logged_out",
        reason="the number was unlinked on its phone: connect it again",
    ),
    "elsewhere": Standing(
        state=InstanceState.DISCONNECTED,
        code="elsewhere",
        reason="another client uses this session: end it, then connect again",
    ),
    "banned": Standing(state=InstanceState.RESTRICTED, code="banned", reason="WhatsApp refuses the number"),
}


def reported(report: Mapping[str, Any], *, now_ms: int) -> Standing | None:
    """Return how the number stands; None if the state says nothing of it, as while it is being paired.

    >>> reported({"state": "open", "locked": True, "locked_until": 2_000}, now_ms=1_000).state.value
    'restricted'
    >>> reported({"state": "open", "locked": True, "locked_until": 2_000}, now_ms=2_000).state.value
    'connected'
    """
    match report.get("state"):
        case "open":
            return _open(report, now_ms)
        case "waiting":
            reason = storable(str(report.get("reason") or "the link is down"))[:200]
            return Standing(state=InstanceState.DISCONNECTED, code="offline", reason=reason)
        case str(state):
            return _ENDED.get(state)
        case _:
            return None


def _open(report: Mapping[str, Any], now_ms: int) -> Standing:
    said = report.get("locked_until")
    until_ms = said if isinstance(said, int) else None
    if report.get("locked") is not True or (until_ms is not None and until_ms <= now_ms):
        return _CONNECTED
    return Standing(
        state=InstanceState.RESTRICTED,
        code="reachout_timelock",
        reason="WhatsApp lets the number start no new chats",
        until_ms=until_ms,
    )
