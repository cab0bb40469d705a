"""The one shape of a worker's endless loops."""

import asyncio
from collections.abc import Awaitable, Callable

from berrante.engine.connection import is_unavailable


def is_cancelled() -> bool:
    """Tell whether the running task was cancelled; every endless loop asks, for a cancellation can be swallowed.

    redis-py sends within ``asyncio.wait_for``, and that of Python 3.11 drops a cancellation that comes in the same tick
    as its result: the loop would wait for ever, and ``Worker.stop`` with it.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def every(interval_ms: int, verb: Callable[[], Awaitable[None]]) -> None:
    """Call ``verb`` every ``interval_ms`` until cancelled; a server that is away is asked again next time."""
    while not is_cancelled():
        await asyncio.sleep(interval_ms / 1_000)
        try:
            await verb()
        except Exception as error:
            if not is_unavailable(error):
                raise
