"""Jobs that failed for good, kept for people: listed, put back, discarded."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from redis.exceptions import WatchError

from berrante.engine.connection import Connection
from berrante.engine.errors import InvalidPayload, JobMissing
from berrante.engine.job import Job
from berrante.engine.options import JobOptions
from berrante.engine.policy.retention import Retention
from berrante.engine.queue import Queue
from berrante.engine.state import State
from berrante.engine.wire import adding, administering, resolving
from berrante.engine.wire.codec import read_options_of
from berrante.engine.wire.keys import QueueKeys
from berrante.engine.wire.scripts import Call

_WAITING: Final = (State.WAITING,)
#: A letter may hold four traces of 8,000 characters: so many of them are read and written at once.
_BATCH: Final = 100
#: What was put back stays to be looked up, as long as a failed job does by default.
KEEP: Final = Retention(age_s=7 * 24 * 3_600, count=1_000)


@dataclass(frozen=True, kw_only=True, slots=True)
class LettersPage:
    """Letters, the newest first, each with the place where the rest begins after it; 0 is the end."""

    letters: list[tuple[Job, int]]
    next: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PutBack:
    """A letter whose job runs again under ``job_id`` in ``queue``."""

    letter_id: str
    queue: str
    job_id: str


class DeadLetters:
    """The queue that nobody works on; a worker adds to it in the same step as it fails a job for good.

    A dead letter's data holds the origin: ``queue``, ``jobId``, ``name``, ``data``, ``opts``, ``failedReason``,
    ``stacktrace``, ``attemptsMade``, the times ``timestamp``, ``processedOn``, ``failedAt`` in milliseconds, and
    ``error``: the ``type`` of what was raised, with its ``code``, ``scope`` and ``template`` if it had such.

    A letter that was put back is completed, and returns ``{"queue", "jobId"}``; the job's options name the letter.
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

    async def page(self, limit: int = 50, *, at: int | None = None) -> LettersPage:
        """Return letters newest first, from the place that a former page named.

        New letters shift nothing. If older ones are taken out between two pages, some may be seen twice, none is
        skipped.
        """
        length = await self._connection.redis.llen(self.queue.keys.wait)
        # Places are counted from the oldest, since new letters come in at the other end.
        place = length if at is None else max(0, min(at, length))
        ids = await self._between(-place, min(-1, limit - place - 1)) if place else []
        left = place - len(ids)
        letters = [
            (self._letter(id_, hash_), place - number)
            for number, (id_, hash_) in enumerate(await self._read(ids), 1)
            if hash_
        ]
        return LettersPage(letters=letters, next=left if ids else 0)

    async def scan(self) -> AsyncIterator[Sequence[Job]]:
        """Yield all letters, oldest first, a hundred at a time; letters may be taken out meanwhile."""
        passed = 0
        while ids := (await self._between(-(passed + _BATCH), -(passed + 1)))[::-1]:
            yield [self._letter(id_, hash_) for id_, hash_ in await self._read(ids) if hash_]
            # What was taken out of this batch moved the rest nearer: to pass it over would skip others.
            passed += sum([place is not None for place in await self._places(ids)])

    async def get(self, letter_id: str) -> Job | None:
        """Return one dead letter, resolved or not."""
        return await self.queue.get(letter_id)

    async def discard(self, letter_id: str) -> bool:
        """Remove a dead letter; False if it is not there."""
        return await self.queue.remove(letter_id)

    async def discard_many(self, letter_ids: Sequence[str]) -> int:
        """Remove letters that nobody put back, and return how many there were."""
        removed = 0
        for start in range(0, len(letter_ids), _BATCH):
            ids = letter_ids[start : start + _BATCH]
            there = [id_ for id_, place in zip(ids, await self._places(ids), strict=True) if place is not None]
            calls = [administering.remove(self.queue.keys, id_) for id_ in there]
            answers = await self._connection.run_all(calls)
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
            removed += sum([answer == 1 for answer in answers])
        return removed

    async def retry(self, letter_id: str) -> Job:
        """Put the job back into its queue, and complete the letter in the same step; returns the new job.

        Raises ``JobMissing`` if the letter is not there or was put back before, and ``InvalidPayload`` if it cannot be
        read.
        """
        done = await self.retry_many([letter_id])
        if done:
            job = await Queue(done[0].queue, self._connection, prefix=self._prefix).get(done[0].job_id)
            if job is not None:
                return job
        elif (letter := await self.get(letter_id)) is not None and letter.finished_on_ms is None:
            _Origin.of(letter)  # says what is wrong with it
        raise JobMissing(letter_id, during="retry of a dead letter")

    async def retry_many(self, letter_ids: Sequence[str]) -> Sequence[PutBack]:
        """Put jobs back into their queues, a hundred letters in one step; returns those that were put back.

        Letters that are gone, were put back before or cannot be read are passed over. However many do this at once, and
        wherever one is cut off, each letter is put back once: its job is added and it is completed in one transaction,
        which does nothing if somebody else touched one of its letters meanwhile, and is then tried anew.
        """
        done: list[PutBack] = []
        for start in range(0, len(letter_ids), _BATCH):
            batch = list(dict.fromkeys(letter_ids[start : start + _BATCH]))
            while (put_back := await self._put_back(batch)) is None:
                pass  # whoever was first has put back some of these: there is less to do now
            done += put_back
        return done

    async def _put_back(self, ids: Sequence[str]) -> Sequence[PutBack] | None:
        """Put back what is there of ``ids``; None if another was faster with some, and nothing was done."""
        async with self._connection.redis.pipeline(transaction=True) as transaction:
            await transaction.watch(*(self.queue.keys.job(id_) for id_ in ids))
            origins: list[_Origin] = []
            places = await self._places(ids)
            for (id_, hash_), place in zip(await self._read(ids), places, strict=True):
                if hash_ and place is not None:
                    try:
                        origins.append(_Origin.of(self._letter(id_, hash_)))
                    except InvalidPayload:
                        continue
            if not origins:
                return []
            transaction.multi()  # type: ignore[no-untyped-call]
            for call in self._calls(origins):
                transaction.execute_command("EVAL", call.script.source, len(call.keys), *call.keys, *call.args)
            try:
                *_, resolved = await transaction.execute()
            except WatchError:
                return None
        return [
            PutBack(letter_id=origin.letter_id, queue=origin.queue, job_id=str(origin.options.job_id))
            for origin, done in zip(origins, resolved, strict=True)
            if done
        ]

    def _calls(self, origins: Sequence["_Origin"]) -> Sequence[Call]:
        now, calls, ended = self._connection.now_ms(), [], []
        by_queue: dict[str, list[_Origin]] = {}
        for origin in origins:
            by_queue.setdefault(origin.queue, []).append(origin)
            key = QueueKeys(origin.queue, prefix=self._prefix).job(str(origin.options.job_id))
            ended.append((origin.letter_id, key, {"queue": origin.queue, "jobId": origin.options.job_id}))
        for queue, jobs in by_queue.items():
            named = [(job.name, job.data, job.options) for job in jobs]
            calls += adding.add_in_order(QueueKeys(queue, prefix=self._prefix), named, now_ms=now)
        return [*calls, resolving.resolve(self.queue.keys, ended, keep=KEEP, now_ms=now)]

    async def _between(self, start: int, end: int) -> Sequence[str]:
        redis, wait = self._connection.redis, self.queue.keys.wait
        return [id_.decode() for id_ in cast("Sequence[bytes]", await redis.lrange(wait, start, end))]

    async def _read(self, ids: Sequence[str]) -> Sequence[tuple[str, dict[bytes, bytes]]]:
        async with self._connection.redis.pipeline(transaction=False) as pipeline:
            for id_ in ids:
                pipeline.hgetall(self.queue.keys.job(id_))
            return list(zip(ids, await pipeline.execute(), strict=True))

    async def _places(self, ids: Sequence[str]) -> Sequence[int | None]:
        """Say where each letter waits, or None: it is worked on by somebody, was resolved or is gone."""
        async with self._connection.redis.pipeline(transaction=False) as pipeline:
            for id_ in ids:
                pipeline.lpos(self.queue.keys.wait, id_, rank=-1)  # the oldest are mostly asked for
            places: Sequence[int | None] = await pipeline.execute()
            return places

    def _letter(self, letter_id: str, hash_: dict[bytes, bytes]) -> Job:
        return Job(letter_id, hash_, connection=self._connection, keys=self.queue.keys)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Origin:
    """The job that a letter tells of, as it is to be added again."""

    letter_id: str
    queue: str
    name: str
    data: Any
    options: JobOptions

    @classmethod
    def of(cls, letter: Job) -> "_Origin":
        """Read a letter; raises ``InvalidPayload`` if somebody else wrote it, and not as we do."""
        told = letter.data
        try:
            options = read_options_of(told.get("opts") or {}, job_id=letter.id)
            QueueKeys(told["queue"])
            return cls(
                letter_id=letter.id,
                queue=told["queue"],
                name=str(told["name"]),
                data=told["data"],
                options=JobOptions(
                    attempts=options.attempts,
                    backoff=options.backoff,
                    priority=options.priority,
                    group=options.group,
                    # By the letter's time: an id that is kept elsewhere would make this retry a no-op.
                    job_id=f"{str(told['jobId']).replace(':', '-')}-retry-{told['failedAt']}",
                    keep_completed=options.keep_completed,
                    keep_failed=options.keep_failed,
                    keep_logs=options.keep_logs,
                    stack_trace_limit=options.stack_trace_limit,
                    letter=letter.id,
                    trace_context=_text((told.get("opts") or {}).get("tm")),
                ),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            reason = f"it is not what a worker writes ({type(error).__name__}: {error}): discard it"
            raise InvalidPayload(letter.id, field="data", reason=reason) from error


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
