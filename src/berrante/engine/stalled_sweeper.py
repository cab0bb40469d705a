"""Gives back the jobs of workers that fell silent."""

from berrante.engine.connection import Connection
from berrante.engine.notices import JobsStalled, Listener
from berrante.engine.wire import grouping, taking
from berrante.engine.wire.keys import QueueKeys


class StalledSweeper:
    """BullMQ's two-pass check: a job that is active without a lock at two checks in a row waits again.

    Redis lets one worker check per interval, however many there are. A job that stalled more than ``max_stalled`` times
    is failed by the next worker that takes it.
    """

    def __init__(
        self, connection: Connection, keys: QueueKeys, *, max_stalled: int, interval_ms: int, listener: Listener
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._max_stalled = max_stalled
        self._interval_ms = interval_ms
        self._listener = listener

    async def sweep(self) -> None:
        """Check once."""
        call = taking.sweep_stalled(
            self._keys,
            max_stalled=self._max_stalled,
            interval_ms=self._interval_ms,
            now_ms=self._connection.now_ms(),
        )
        stalled: list[bytes] = await self._connection.run(call)
        await self._connection.run(grouping.sweep(self._keys, stalled=stalled, now_ms=self._connection.now_ms()))
        if stalled:
            ids = tuple(job_id.decode() for job_id in stalled)
            self._listener(JobsStalled(queue=self._keys.queue, job_ids=ids))
