"""One question to an engine; a server that hangs makes it answer "down", not hang along."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from berrante.telemetry import scrubbed

Report = dict[str, Any]
_SHOWN: Final = 300


class HealthCheck:
    """One question to an engine, asked by one caller at a time however many want to know.

    A question that is not answered in time is left to end by itself (its socket has a time-out of its own) and not
    asked again meanwhile: a server that hangs gets no heap of connections on top.
    """

    def __init__(self, ask: Callable[[], Awaitable[Report]], *, timeout_ms: int) -> None:
        self._ask = ask
        self._timeout_ms = timeout_ms
        self._asking: asyncio.Task[Report] | None = None

    async def report(self) -> Report:
        """Return ``{"status": "ok", "latency_ms", …}``, or ``{"status": "down", "reason"}``."""
        started = time.perf_counter()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._asked())
        done, _ = await asyncio.wait({self._asking}, timeout=self._timeout_ms / 1_000)
        if not done:
            return {"status": "down", "reason": f"no answer within {self._timeout_ms} ms"}
        return {"latency_ms": round((time.perf_counter() - started) * 1_000, 1), **self._asking.result()}

    def cancel(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()

    async def _asked(self) -> Report:
        try:
            return {"status": "ok", **await self._ask()}
        except Exception as error:  # noqa: BLE001  whatever it raises is the reason why it is down
            return {"status": "down", "reason": scrubbed(str(error) or type(error).__name__)[:_SHOWN]}
