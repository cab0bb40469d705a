"""Jobs in ``failed`` that are run again, and their dead letters, which must not run them a second time."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from berrante.engine.dead_letters import KEEP, DeadLetters
from berrante.engine.errors import InvalidPayload
from berrante.engine.job import Job
from berrante.engine.operating import run_again
from berrante.engine.queue import Queue
from berrante.engine.state import State
from berrante.engine.transaction import run_together
from berrante.engine.wire import resolving

_BATCH: Final = 100


@dataclass(kw_only=True, slots=True)
class LettersOfJobs:
    """What the dead letters say of one queue's jobs, by job id.

    ``waiting`` holds the letters that nobody decided on; ``put_back`` the jobs that run again under another id.
    """

    waiting: dict[str, list[str]] = field(default_factory=dict)
    put_back: set[str] = field(default_factory=set)

    def forbids(self, job_id: str) -> bool:
        """Tell whether the job was put back by its letter, so that running it here would do it twice."""
        return job_id in self.put_back and job_id not in self.waiting


class FailedJobs:
    """The failed jobs of one queue."""

    def __init__(self, queue: Queue, letters: DeadLetters) -> None:
        self._queue = queue
        self._letters = letters

    async def letters(self) -> LettersOfJobs:
        """Read what the dead letters say of this queue's jobs; all of them are read once."""
        found = LettersOfJobs()
        async for jobs in self._letters.scan():
            for letter in jobs:
                if (job_id := self._job_of(letter)) is not None:
                    found.waiting.setdefault(job_id, []).append(letter.id)
        start = 0
        while jobs := await self._letters.queue.jobs((State.COMPLETED,), start=start, end=start + _BATCH - 1):
            for letter in jobs:
                job_id, result = self._job_of(letter), letter.return_value
                again = result.get("jobId") if isinstance(result, dict) else None
                if job_id is not None and again != job_id:
                    found.put_back.add(job_id)
            start += len(jobs)
        return found

    async def scan(self, *, until_ms: int) -> AsyncIterator[Sequence[Job]]:
        """Yield jobs that failed by ``until_ms``, the oldest first; they may be run again meanwhile."""
        redis, key = self._queue.connection.redis, self._queue.keys.failed
        passed = 0
        while True:
            found = await redis.zrangebyscore(key, "-inf", until_ms, start=passed, num=_BATCH)
            ids = [job_id.decode() for job_id in cast("Sequence[bytes]", found)]
            if not ids:
                return
            async with redis.pipeline(transaction=False) as pipeline:
                for job_id in ids:
                    pipeline.hgetall(self._queue.keys.job(job_id))
                hashes = await pipeline.execute()
            yield [
                Job(job_id, hash_, connection=self._queue.connection, keys=self._queue.keys)
                for job_id, hash_ in zip(ids, hashes, strict=True)
                if hash_
            ]
            scores: Sequence[float | None] = await redis.zmscore(key, ids)
            passed += sum([score is not None for score in scores])

    async def rerun(self, jobs: Sequence[Job], letters: LettersOfJobs) -> int:
        """Run jobs again, their attempts counted anew, and complete their letters, in one step for each job.

        Returns how many did run again; one that somebody else took meanwhile is passed over.
        """
        done = 0
        for job in jobs:
            calls = [run_again(self._queue, job, State.FAILED, anew=True)]
            if waiting := letters.waiting.get(job.id):
                told = {"queue": self._queue.name, "jobId": job.id}
                ended = [(letter_id, job.key, told) for letter_id in waiting]
                now = self._queue.connection.now_ms()
                calls.append(resolving.resolve(self._letters.queue.keys, ended, keep=KEEP, now_ms=now))
            answers = await run_together(self._queue.connection, calls)
            done += answers[0] == 1
        return done

    def _job_of(self, letter: Job) -> str | None:
        try:
            told = letter.data
        except InvalidPayload:
            return None
        if not isinstance(told, dict) or told.get("queue") != self._queue.name:
            return None
        job_id = told.get("jobId")
        return job_id if isinstance(job_id, str) else None
