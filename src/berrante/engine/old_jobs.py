"""Jobs of one state that are older than a moment: counted, or removed bit by bit."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

from berrante.engine.queue import Queue
from berrante.engine.state import State
from berrante.engine.wire import administering

#: Active jobs are left out: their outcomes would be refused.
CLEANABLE: Final = (State.COMPLETED, State.FAILED, State.WAITING, State.PRIORITIZED, State.DELAYED)
_BATCH: Final = 500
_FINISHED: Final = (State.COMPLETED, State.FAILED)


@dataclass(frozen=True, kw_only=True, slots=True)
class OldJobs:
    """The jobs of ``queue`` in ``state`` that finished, or if they did not were added, at ``before_ms`` or earlier."""

    queue: Queue
    state: State
    before_ms: int

    def __post_init__(self) -> None:
        if self.state not in CLEANABLE:
            raise ValueError(f"state is {self.state.value!r}: give one of {', '.join(CLEANABLE)}")

    async def count(self) -> int:
        """Count them."""
        if self.state in _FINISHED:
            key = self.queue.keys.state(self.state.key)
            return await self.queue.connection.redis.zcount(key, "-inf", self.before_ms)
        number = start = 0
        while ids := await self._ids(start):
            number += len(await self._old(ids))
            start += len(ids)
        return number + (await self._count_in_groups() if self.state is State.WAITING else 0)

    async def remove(self) -> AsyncIterator[int]:
        """Remove them with their children; yields how many each step removed. A scheduler's next job stays."""
        if self.state in _FINISHED:
            while removed := await self._clean():
                yield removed
            return
        start = 0
        while ids := await self._ids(start):
            calls = [administering.remove(self.queue.keys, job_id) for job_id in await self._old(ids)]
            answers = await self.queue.connection.run_all(calls)
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
            removed = sum([answer == 1 for answer in answers])
            start += len(ids) - removed
            yield removed
        while self.state is State.WAITING:
            in_groups = await self.queue.groups.clean_all(before_ms=self.before_ms, limit=_BATCH)
            yield len(in_groups)
            if len(in_groups) < _BATCH:
                return

    async def _count_in_groups(self) -> int:
        number = start = 0
        while jobs := await self.queue.groups.waiting(start=start, count=_BATCH):
            number += sum([job.timestamp_ms <= self.before_ms for job in jobs])
            start += len(jobs)
        return number

    async def _clean(self) -> int:
        call = administering.clean(self.queue.keys, self.state, before_ms=self.before_ms, limit=_BATCH)
        removed: list[bytes] = await self.queue.connection.run(call)
        return len(removed)

    async def _ids(self, start: int) -> Sequence[str]:
        redis, key = self.queue.connection.redis, self.queue.keys.state(self.state.key)
        end = start + _BATCH - 1
        ids = await (redis.lrange(key, start, end) if self.state is State.WAITING else redis.zrange(key, start, end))
        return [job_id.decode() for job_id in cast("Sequence[bytes]", ids)]

    async def _old(self, ids: Sequence[str]) -> Sequence[str]:
        async with self.queue.connection.redis.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                pipeline.hget(self.queue.keys.job(job_id), "timestamp")
            added: Sequence[bytes | None] = await pipeline.execute()
        return [job_id for job_id, at in zip(ids, added, strict=True) if at is not None and int(at) <= self.before_ms]
