"""What a test waits for: a job's end, an idle worker; seen in Redis, whoever did it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import cast

from berrante.engine import Connection, Job, Queue, QueueEvent, QueueEvents
from tests import waiting
from tests.contract.record import PATIENCE_S


def stream(queue: Queue, *, since: str = "0") -> AbstractAsyncContextManager[AsyncGenerator[QueueEvent, None]]:
    """The queue's events as our reader gives them, from the first one on; closed at the end of the block."""
    events = QueueEvents(queue.name, queue.connection, prefix=queue.prefix)
    return aclosing(cast("AsyncGenerator[QueueEvent, None]", events.listen(since)))


async def finished(queue: Queue, *job_ids: str, times: int = 1, timeout_s: float = PATIENCE_S) -> list[str]:
    """Wait until each job completed or failed for the ``times``-th time; return the ids in the order of their ends."""
    ends: list[str] = []
    wanted = dict.fromkeys(job_ids, times)
    try:
        async with asyncio.timeout(timeout_s), stream(queue) as events:
            async for event in events:
                if event.name in {"completed", "failed"} and event.job_id in wanted:
                    ends.append(event.job_id)
                    wanted[event.job_id] -= 1
                    if not wanted[event.job_id]:
                        del wanted[event.job_id]
                    if not wanted:
                        break
    except TimeoutError:
        raise AssertionError(f"after {timeout_s:g} s {wanted} are still to end; these did: {ends}") from None
    return ends


async def job(queue: Queue, job_id: str) -> Job:
    """Read a job that must be there."""
    found = await queue.get(job_id)
    assert found is not None, f"there is no job {job_id}"
    return found


async def idle(connection: Connection, *names: str) -> None:
    """Wait until the workers of these names block on the marker: from then on, only a marker wakes them at once."""

    async def blocked() -> bool:
        clients = await connection.redis.client_list()
        return {client["name"].rpartition(":")[2] for client in clients if "b" in client["flags"]}.issuperset(names)

    await until(blocked)


async def until(condition: Callable[[], Awaitable[bool]], *, timeout_s: float = PATIENCE_S) -> None:
    """Ask until ``condition`` holds; raise if it never does."""
    answers: Callable[[], bool | Awaitable[bool]] = condition
    await waiting.until(answers, timeout_s=timeout_s)
