"""Keeps the locks of the jobs that a worker holds."""

from collections.abc import Callable, Collection

from berrante.engine.connection import Connection
from berrante.engine.job import Job
from berrante.engine.notices import JobLockLost, Listener
from berrante.engine.wire import taking
from berrante.engine.wire.keys import QueueKeys


class LockRenewer:
    """Renews all locks of a worker in one call, and tells each job whose lock is lost while ``runs`` says it runs.

    Of one that is being settled, the answer to that tells: Redis may have taken it, and its lock, before we know.
    """

    def __init__(
        self,
        connection: Connection,
        keys: QueueKeys,
        *,
        lock_ms: int,
        held: Callable[[], Collection[Job]],
        runs: Callable[[Job], bool],
        listener: Listener,
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._lock_ms = lock_ms
        self._held = held
        self._runs = runs
        self._listener = listener

    async def renew(self) -> None:
        """Renew the lock of every job that is held and not yet lost."""
        held = {job.id: job for job in self._held() if not job.is_lost}
        if not held:
            return
        call = taking.renew_locks(
            self._keys,
            tokens=[job.token for job in held.values()],
            job_ids=list(held),
            lock_ms=self._lock_ms,
        )
        lost: list[bytes] = await self._connection.run(call)
        for job_id in (raw.decode() for raw in lost):
            if self._runs(held[job_id]):  # else it was settled while the call was under way, which removes the lock
                held[job_id].lock_lost.set()
                self._listener(JobLockLost(queue=self._keys.queue, job=held[job_id], during="renewal"))
