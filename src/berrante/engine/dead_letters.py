"""Jobs that failed for good, kept for people: listed, put back, discarded."""

from typing import Final

from berrante.engine.connection import Connection
from berrante.engine.errors import JobMissing
from berrante.engine.job import Job
from berrante.engine.options import JobOptions
from berrante.engine.queue import Queue
from berrante.engine.state import State
from berrante.engine.wire.codec import read_options_of

_WAITING: Final = (State.WAITING,)


class DeadLetters:
    """The queue that nobody works on; a worker adds to it in the same step as it fails a job for good.

    A dead letter's data holds the origin: ``queue``, ``jobId``, ``name``, ``data``, ``opts``, ``failedReason``,
    ``stacktrace``, ``attemptsMade`` and the times ``timestamp``, ``processedOn``, ``failedAt`` in milliseconds.
    """

    def __init__(self, connection: Connection, queue: str = "dead-letter", *, prefix: str = "bull") -> None:
        self._connection = connection
        self._prefix = prefix
        self.queue = Queue(queue, connection, prefix=prefix)

    async def count(self) -> int:
        """Count the dead letters."""
        return (await self.queue.counts())[State.WAITING]

    async def list(self, start: int = 0, end: int = 49) -> list[Job]:
        """Return dead letters from ``start`` to ``end``, newest first."""
        return await self.queue.jobs(_WAITING, start=start, end=end)

    async def get(self, letter_id: str) -> Job | None:
        """Return one dead letter."""
        return await self.queue.get(letter_id)

    async def discard(self, letter_id: str) -> bool:
        """Remove a dead letter; False if it is not there."""
        return await self.queue.remove(letter_id)

    async def retry(self, letter_id: str) -> Job:
        """Put the job back into its queue and remove the letter; returns the new job.

        The job's id is ``{origin id}-retry-{letter's time}``: a retry that is cut short and done again adds nothing
        twice.
        Raises ``JobMissing`` if the letter is not there.
        """
        letter = await self.queue.get(letter_id)
        if letter is None:
            raise JobMissing(letter_id, during="retry of a dead letter")
        origin = letter.data
        options = read_options_of(origin.get("opts") or {}, job_id=letter_id)
        job_id = f"{str(origin['jobId']).replace(':', '-')}-retry-{origin['failedAt']}"
        job = await Queue(origin["queue"], self._connection, prefix=self._prefix).add(
            origin["name"],
            origin["data"],
            JobOptions(
                attempts=options.attempts,
                backoff=options.backoff,
                priority=options.priority,
                job_id=job_id,
                keep_completed=options.keep_completed,
                keep_failed=options.keep_failed,
                keep_logs=options.keep_logs,
                stack_trace_limit=options.stack_trace_limit,
            ),
        )
        await self.queue.remove(letter_id)
        return job
