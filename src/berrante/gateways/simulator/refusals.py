"""WhatsApp's refusals by Meta's code, with the scope and action of each, ready to inject."""

from dataclasses import dataclass
from typing import Final

from berrante.gateways.protocol import Action, InDoubt, Scope, SendError


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """One of WhatsApp's ways to say no. Codes: Meta's "Cloud API error codes"; reactions are this project's."""

    scope: Scope
    action: Action
    text: str
    retry_after_ms: int | None = None


_HOUR_MS: Final = 3_600_000

REFUSALS: Final[dict[str, Refusal]] = {
    "131000": Refusal(scope=Scope.MESSAGE, action=Action.RETRY, text="Something went wrong"),
    "131051": Refusal(scope=Scope.MESSAGE, action=Action.DROP, text="Message type is not supported"),
    "131056": Refusal(scope=Scope.RECIPIENT, action=Action.RETRY, text="Pair rate limit hit", retry_after_ms=6_000),
    "131026": Refusal(scope=Scope.RECIPIENT, action=Action.DROP, text="Message undeliverable"),
    "131047": Refusal(scope=Scope.RECIPIENT, action=Action.DROP, text="Outside the 24 hours: re-engagement message"),
    "131050": Refusal(scope=Scope.RECIPIENT, action=Action.SUPPRESS, text="User stopped marketing messages"),
    "132015": Refusal(scope=Scope.TEMPLATE, action=Action.HOLD, text="Template is paused", retry_after_ms=3 * _HOUR_MS),
    "132001": Refusal(scope=Scope.TEMPLATE, action=Action.DROP, text="Template does not exist"),
    "131057": Refusal(scope=Scope.NUMBER, action=Action.RETRY, text="Account in maintenance", retry_after_ms=60_000),
    "130429": Refusal(scope=Scope.NUMBER, action=Action.HOLD, text="Rate limit hit", retry_after_ms=1_000),
    "131048": Refusal(scope=Scope.NUMBER, action=Action.HOLD, text="Spam rate limit hit", retry_after_ms=24 * _HOUR_MS),
    "33": Refusal(scope=Scope.NUMBER, action=Action.DROP, text="The business phone number was deleted"),
    "80007": Refusal(scope=Scope.ACCOUNT, action=Action.HOLD, text="Account's call limit hit", retry_after_ms=_HOUR_MS),
    "131042": Refusal(scope=Scope.ACCOUNT, action=Action.HOLD, text="Business eligibility: payment issue"),
    "190": Refusal(scope=Scope.ACCOUNT, action=Action.HOLD, text="Access token has expired"),
}


def refusal(code: str) -> SendError:
    """Return the error of a code of ``REFUSALS``; raises ``KeyError`` for another.

    >>> refusal("130429").action
    <Action.HOLD: 'hold'>
    """
    known = REFUSALS[code]
    return SendError(known.text, scope=known.scope, action=known.action, code=code, retry_after_ms=known.retry_after_ms)


class InjectedFailures:
    """Failures that were ordered for sends to come, in the order in which they were ordered."""

    def __init__(self) -> None:
        self._orders: list[_Order] = []

    def order(self, error: SendError | InDoubt, count: int, *, to: str | None, shown: bool) -> None:
        if count < 1:
            raise ValueError(f"count is {count}: give how many sends shall fail, 1 or more")
        if shown and isinstance(error, SendError):
            raise ValueError("a refused message is never shown: only InDoubt may leave one on the contact's screen")
        self._orders.append(_Order(error=error, left=count, to=to, shown=shown))

    def take(self, to: str) -> tuple[SendError | InDoubt, bool] | None:
        """Use up one failure for a send: the error to raise, and whether the contact sees the message all the same."""
        for order in self._orders:
            if order.to in {None, to}:
                order.left -= 1
                if not order.left:
                    self._orders.remove(order)
                return _again(order.error), order.shown
        return None

    def clear(self) -> None:
        self._orders.clear()


@dataclass(kw_only=True, slots=True, eq=False)
class _Order:
    error: SendError | InDoubt
    left: int
    to: str | None
    shown: bool


def _again(error: SendError | InDoubt) -> SendError | InDoubt:
    # An exception that is raised twice drags the first raise's traceback along: every send gets its own.
    if isinstance(error, InDoubt):
        return InDoubt(*error.args)
    return SendError(
        str(error), scope=error.scope, action=error.action, code=error.code, retry_after_ms=error.retry_after_ms
    )
