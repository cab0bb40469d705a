"""Starts an embedded engine again when it dies while we run: there is nobody else who would."""

import asyncio
from contextlib import AsyncExitStack
from typing import Final

from berrante.embedded import EmbeddedError, EmbeddedPostgres, EmbeddedValkey
from berrante.telemetry import events

_LOOK_EVERY_S: Final = 1.0


async def keep_alive(stack: AsyncExitStack, name: str, engine: EmbeddedValkey | EmbeddedPostgres) -> None:
    """Guard the engine until the stack is left, which must happen before the engine itself is stopped."""
    guard = asyncio.create_task(_guard(name, engine), name=f"guard-{name}")

    async def end() -> None:
        guard.cancel()
        await asyncio.gather(guard, return_exceptions=True)

    stack.push_async_callback(end)


async def _guard(name: str, engine: EmbeddedValkey | EmbeddedPostgres) -> None:
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        if await asyncio.to_thread(lambda: engine.is_alive):
            continue
        events.ENGINES_DIED(engine=name, folder=str(engine.folder))
        try:
            await engine.start()
        except EmbeddedError as error:
            events.ENGINES_NOT_REVIVED(engine=name, reason=str(error))
        else:
            events.ENGINES_STARTED(engine=name, pid=engine.pid, folder=str(engine.folder))
