"""What WhatsApp's and the sidecar's codes mean: whom a refusal is about, and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from berrante.gateways.protocol import Action, Scope, SendError

_OFFLINE_MS: Final = (500, 30_000)


@dataclass(frozen=True, slots=True)
class Meaning:
    """Of one code; ``text`` is what people read, ``wait_ms`` how long at least what it stops stays stopped."""

    scope: Scope
    action: Action
    text: str
    wait_ms: int | None = None


_AGAIN: Final = "the same id is sent again"
_HELD: Final = (Scope.NUMBER, Action.HOLD)
MEANINGS: Final[Mapping[str, Meaning]] = MappingProxyType(
    {
        # Codes of an acknowledgement. 463: once more would count as one more attempt to reach a stranger.
        "463": Meaning(
            Scope.RECIPIENT,
            Action.DROP,
            "WhatsApp lets this number start no new chats for now: wait until the contact writes",
        ),
        "479": Meaning(Scope.MESSAGE, Action.RETRY, "the session with a device was stale; it is made anew"),
        "429": Meaning(*_HELD, "WhatsApp says that this number sends too fast", 60_000),
        "401": Meaning(*_HELD, "WhatsApp does not let this number send", 300_000),
        "403": Meaning(*_HELD, "WhatsApp does not let this number send", 300_000),
        "404": Meaning(Scope.RECIPIENT, Action.DROP, "WhatsApp does not know the recipient"),
        "400": Meaning(Scope.MESSAGE, Action.DROP, "WhatsApp does not take a message of this form"),
        "406": Meaning(Scope.MESSAGE, Action.DROP, "WhatsApp does not take a message of this form"),
        "not_on_whatsapp": Meaning(Scope.RECIPIENT, Action.SUPPRESS, "the recipient is not on WhatsApp"),
        "new_chats_stopped": Meaning(Scope.RECIPIENT, Action.HOLD, "who never wrote waits, other chats go on", 300_000),
        # Whatever happened to the link: a phone shows an id once.
        "link_dropped": Meaning(*_HELD, f"the link broke before WhatsApp acknowledged; {_AGAIN}", 1_000),
        "lease_lost": Meaning(*_HELD, f"another sidecar has taken over the number; {_AGAIN}", 1_000),
        "caller_gone": Meaning(*_HELD, f"the caller stopped waiting; {_AGAIN}", 1_000),
        "no_ack": Meaning(*_HELD, f"WhatsApp did not acknowledge; the link is made anew and {_AGAIN}", 1_000),
        # Why a number that is not open cannot send.
        "offline": Meaning(*_HELD, "the number is not connected right now"),
        "not_paired": Meaning(*_HELD, "the number is not paired: connect it", 30_000),
        "logged_out": Meaning(*_HELD, "the number was unlinked on its phone: connect it again", 60_000),
        "banned": Meaning(*_HELD, "WhatsApp refuses the number", 300_000),
        "elsewhere": Meaning(*_HELD, "another client uses this session: end it, then connect again", 60_000),
    }
)
#: What is over once the number is connected again.
WITHOUT_LINK: Final = ("offline", "not_paired", "logged_out", "banned", "elsewhere")
_STATES: Final = MappingProxyType(
    {"absent": "not_paired", "qr": "not_paired", "expired": "not_paired"}
    | {state: state for state in ("logged_out", "banned", "elsewhere")}
)


def refused(said: Mapping[str, Any]) -> SendError:
    """Return the error for what the sidecar said: its ``code``, and more where it knows more.

    >>> error = refused({"code": "offline", "state": "logged_out"})
    >>> error.code, error.scope, error.action
    ('logged_out', <Scope.NUMBER: 'number'>, <Action.HOLD: 'hold'>)
    """
    code, wait_ms = str(said["code"]), said.get("retry_after_ms")
    if code == "offline":
        code = _STATES.get(said.get("state", ""), code)
    meaning = MEANINGS.get(code) or _unknown(code)
    if code == "offline":
        least, most = _OFFLINE_MS
        wait_ms = max(least, min(most, wait_ms or 0))
    text = f"{said['message']}: {meaning.text}" if said.get("message") else meaning.text
    if said.get("close_code"):
        text += f" (close code {said['close_code']})"
    return SendError(
        text, scope=meaning.scope, action=meaning.action, code=code, retry_after_ms=wait_ms or meaning.wait_ms
    )


def held(message: str, *, code: str, for_ms: int) -> SendError:
    """Return the error that stops the number, and uses no attempt."""
    return SendError(message, scope=Scope.NUMBER, action=Action.HOLD, code=code, retry_after_ms=for_ms)


def _unknown(code: str) -> Meaning:
    if len(code) == len("500") and code.isdecimal() and code.startswith("5"):
        return Meaning(*_HELD, "WhatsApp has trouble of its own", 10_000)
    return Meaning(Scope.MESSAGE, Action.RETRY, f"the message was refused with code {code}")
