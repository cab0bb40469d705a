"""Serves an app on a port of its own for the time of a block."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from berrante.app.serving import address_of, listen, serve


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """Yield the address."""
    listener = listen("127.0.0.1", 0)
    listener.listen()
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(app, listener, until=stop))
    try:
        yield address_of(listener)
    finally:
        stop.set()
        await serving
