"""Where a job stands, and how it is taken from there: in BullMQ's own keys, or in the line of its group."""

from typing import cast

from berrante.engine.connection import Connection
from berrante.engine.state import State
from berrante.engine.wire import administering, grouping
from berrante.engine.wire.keys import QueueKeys


async def state_of(connection: Connection, keys: QueueKeys, job_id: str) -> State | None:
    """Tell where a job stands, or None if it is not there. One that waits in a group is waiting."""
    answer: bytes = await connection.run(administering.state(keys, job_id))
    if answer != b"unknown":
        return State(answer.decode())
    group = await group_of(connection, keys, job_id)
    if group is None:
        return None
    place = await connection.redis.zscore(keys.state(f"groups:jobs:{group}"), job_id)
    return None if place is None else State.WAITING


async def rest_ms(connection: Connection, keys: QueueKeys, job_id: str) -> int | None:
    """Return how long a job rests before it may run: 0 if it waits or runs; None if it is finished, or not there."""
    state = await state_of(connection, keys, job_id)
    if state in {State.COMPLETED, State.FAILED, None}:
        return None
    due = await connection.redis.zscore(keys.delayed, job_id)
    # The score holds the due time above 12 bits that keep order within a millisecond.
    return 0 if due is None else max(0, int(due) // 0x1000 - connection.now_ms())


async def remove_job(connection: Connection, keys: QueueKeys, job_id: str) -> int:
    """Remove a job with its children; 1 if it was done, 0 if it is locked, or an error code."""
    group = await group_of(connection, keys, job_id)
    answer: int = await connection.run(administering.remove(keys, job_id))
    if answer == 1 and group is not None:
        # Until then its group's line names a job that is not there, which a turn skips.
        await connection.run(grouping.lift(keys, job_id, group, now_ms=connection.now_ms()))
    return answer


async def group_of(connection: Connection, keys: QueueKeys, job_id: str) -> str | None:
    """Return the group that a job was filed in, or None."""
    raw = cast("bytes | None", await connection.redis.hget(keys.job(job_id), "gid"))
    return raw.decode() if raw is not None else None
