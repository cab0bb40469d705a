"""A bound on how long a run may take."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from berrante.engine.errors import JobTimedOut

T = TypeVar("T")


def limited(handler: Callable[[T], Awaitable[object]], timeout_ms: int) -> Callable[[T], Awaitable[object]]:
    """Wrap a handler so that it is cancelled after ``timeout_ms``, and then raises ``JobTimedOut``.

    The handler may clean up as long as it likes. One that catches the cancellation and returns has answered: the work
    is done, so its answer holds. What it raises instead of the cancellation is the failure.
    """

    async def run(work: T) -> object:
        try:
            async with asyncio.timeout(timeout_ms / 1_000) as limit:
                return await handler(work)
        except TimeoutError as error:
            if limit.expired():
                raise JobTimedOut(timeout_ms) from error
            raise  # the handler's own: some call of it waited too long

    return run
