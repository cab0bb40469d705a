"""Ctrl-C and SIGTERM: the first asks for an orderly end, a second Ctrl-C ends at once."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from berrante.telemetry import events

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_on_signals(*, deadline_ms: int) -> Iterator[asyncio.Event]:
    """Yield an event that is set by the first SIGINT or SIGTERM; ``deadline_ms`` is only told in the log."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def received(number: signal.Signals) -> None:
        if not stop.is_set():
            hint = "running jobs get this long to end; press Ctrl-C again to end at once"
            events.STOPPING(because=number.name, deadline_ms=deadline_ms, hint=hint)
            stop.set()
        elif number is signal.SIGINT:
            # Nothing to tidy up first: jobs run again once their locks expire, embedded engines are found again.
            os._exit(128 + number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, received, number)
    try:
        yield stop
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
