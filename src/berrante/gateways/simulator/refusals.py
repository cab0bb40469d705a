"""Refusals that were ordered for sends to come."""

from dataclasses import dataclass

from berrante.gateways.protocol import InDoubt, SendError
from berrante.gateways.refusals import REFUSALS, refusal

__all__ = ["REFUSALS", "InjectedFailures", "refusal"]


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
    return SendError(str(error), **vars(error))
