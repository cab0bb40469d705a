"""Tasks end when they are told to, whatever a library makes of it."""

import asyncio

from berrante.engine.ticker import cancelled


async def test_a_task_in_which_a_cancellation_was_swallowed_ends_all_the_same() -> None:
    reading, swallowed = asyncio.Event(), asyncio.Event()

    async def deaf_once() -> None:
        try:
            reading.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:  # as asyncio.wait_for does in Python 3.11, if its result comes in the same tick
            swallowed.set()
        await asyncio.Event().wait()

    async def failing() -> None:
        raise RuntimeError("whatever it raised")

    tasks = [asyncio.create_task(deaf_once()), asyncio.create_task(failing())]
    await reading.wait()
    async with asyncio.timeout(20):
        await cancelled(*tasks)
    assert swallowed.is_set()
    assert all(task.done() for task in tasks)
