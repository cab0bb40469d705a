"""The one shape of a worker's endless loops."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from berrante.engine.connection import is_unavailable

_AGAIN_S: Final = 0.05


def is_cancelled() -> bool:
    """Tell whether the running task was cancelled; every endless loop asks, for a cancellation can be swallowed.

    redis-py sends within ``asyncio.wait_for``, and that of Python 3.11 drops a cancellation that comes in the same tick
    as its result: the loop would wait for ever, and ``Worker.stop`` with it.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def cancelled(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks and wait until they ended, whatever they raised; asked again, for once may be swallowed.

    A loop that asks ``is_cancelled`` may have gone on to a blocking read before it could ask.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)


async def every(interval_ms: int, verb: Callable[[], Awaitable[None]]) -> None:
    """Call ``verb`` every ``interval_ms`` until cancelled; a server that is away is asked again next time."""
    while not is_cancelled():
        await asyncio.sleep(interval_ms / 1_000)
        try:
            await verb()
        except Exception as error:
            if not is_unavailable(error):
                raise
