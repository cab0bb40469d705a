"""A gateway whose sends are counted and timed."""

import asyncio
import time
from typing import Any, Protocol, cast

from berrante.gateways.protocol import Accepted, Gateway, InDoubt, OutboundMessage, SendError


class Meter(Protocol):
    """Who counts."""

    def sent(self, gateway: str, outcome: str, seconds: float, /) -> None: ...
    def refused(self, gateway: str, scope: str, action: str, /) -> None: ...


def measured(gateway: Gateway, meter: Meter) -> Gateway:
    """Return the gateway, but one that tells ``meter`` how each send went."""
    return cast("Gateway", _Measured(gateway, meter))


class _Measured:
    def __init__(self, inner: Gateway, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever else the gateway has
        return getattr(self._inner, name)

    async def send(self, message: OutboundMessage) -> Accepted:
        started, outcome = time.perf_counter(), "error"
        try:
            accepted = await self._inner.send(message)
            outcome = "accepted"
        except SendError as error:
            outcome = "refused"
            self._meter.refused(self._inner.name, error.scope.value, error.action.value)
            raise
        except (InDoubt, TimeoutError, asyncio.CancelledError):  # cancelled: the caller's own time-out, or a stop
            outcome = "in_doubt"
            raise
        else:
            return accepted
        finally:
            self._meter.sent(self._inner.name, outcome, time.perf_counter() - started)
