"""One turn between a worker and Redis: what ended goes in, what is free comes out."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import msgspec

from berrante.engine.connection import Connection, run_all
from berrante.engine.job import Job
from berrante.engine.link import Link
from berrante.engine.options import WorkerOptions
from berrante.engine.settlement import Settlement
from berrante.engine.wire import exchanging, finishing, grouping
from berrante.engine.wire.codec import fields
from berrante.engine.wire.endings import HandBack
from berrante.engine.wire.exchanging import Reply
from berrante.engine.wire.keys import QueueKeys


class Turn(msgspec.Struct):
    """What a turn gave.

    ``answers`` holds a number or an exception per settlement. ``more`` says that there may be more jobs to take;
    ``broken`` lists jobs without a readable hash, which were taken out of the way.
    """

    answers: list[Any]
    jobs: list[Job]
    more: bool = False
    limited_ms: int = 0
    next_delayed_ms: int = 0
    broken: Sequence[str] = ()


class Exchange:
    """Speaks to Redis for one lane of a worker, over one connection; ``most`` bounds the jobs of a turn either way."""

    def __init__(
        self,
        link: Link,
        connection: Connection,
        keys: QueueKeys,
        options: WorkerOptions,
        *,
        letters: QueueKeys | None,
        worker: str | None,
        token: str,
        most: int,
        chance: Callable[[], float],
    ) -> None:
        self._link = link
        self._client = connection.redis
        self._connection = connection
        self._keys = keys
        self._options = options
        self._letters = letters
        self._worker = worker
        self._token = token
        self._count = 0
        self._declared = False
        self._chance = chance
        self.most = most

    async def turn(self, settlements: Sequence[Settlement], want: int) -> Turn:
        """Settle, in order, then take up to ``want`` jobs; raises if Redis cannot be reached.

        Settlements are all to go through BullMQ's own scripts, or none; if all, no job is taken in the same turn.
        """
        if settlements and settlements[0].official:
            return Turn(await self._officially(settlements), [], more=want > 0)
        token = self._next_token()
        options = self._options
        call = exchanging.exchange(
            self._keys,
            [
                exchanging.record(
                    settlement.ending,
                    job_id=settlement.job.id,
                    token=settlement.job.token,
                    attempts_made=settlement.job.runs_charged,
                    group=settlement.job.group,
                )
                for settlement in settlements
            ],
            want=want,
            token=token,
            lock_ms=options.lock_ms,
            worker=self._worker,
            rate=options.rate,
            metrics_minutes=options.metrics_minutes,
            letters=self._letters,
            now_ms=self._connection.now_ms(),
            chance=self._chance(),
            batch=options.batch.size if options.batch else 1,
            group_by=options.group_by,
            groups=options.groups,
            declare=not self._declared,
        )
        reply = Reply(*await self._link.call(call))
        self._declared = True
        jobs = [self._job(job_id, flat, token) for job_id, flat in _pairs(reply.jobs)]
        return Turn(
            reply.answers,
            jobs,
            more=0 < len(jobs) == want,
            limited_ms=reply.limited_ms,
            next_delayed_ms=reply.next_delayed_ms,
            broken=[job_id.decode() for job_id in reply.broken],
        )

    async def _officially(self, settlements: Sequence[Settlement]) -> list[Any]:
        """Settle through BullMQ's own scripts, all in one round trip."""
        now = self._connection.now_ms()
        calls, last = [], []
        for settlement in settlements:
            calls += finishing.end(
                self._keys,
                settlement.ending,
                job_id=settlement.job.id,
                token=settlement.job.token,
                metrics_minutes=self._options.metrics_minutes,
                letters=self._letters,
                now_ms=now,
            )
            last.append(len(calls) - 1)
            # A job that is handed back keeps its place among the active until it is filed again, and so goes first.
            if settlement.job.group is not None and not isinstance(settlement.ending, HandBack):
                calls.append(grouping.release(self._keys, [(settlement.job.id, settlement.job.group)], now_ms=now))
        replies = await run_all(self._client, calls)
        return [replies[index] for index in last]

    async def orphans(self, held: set[str]) -> list[Job]:
        """Find active jobs under our lock that we do not hold: the reply of a take was lost with its connection."""
        active = cast("list[bytes]", await self._client.lrange(self._keys.active, 0, -1))
        ids = [job_id.decode() for job_id in active if job_id.decode() not in held]
        if not ids:
            return []
        locks = [self._keys.job(job_id) + ":lock" for job_id in ids]
        tokens = cast("list[bytes | None]", await self._client.mget(locks))
        return [
            Job(job_id, {}, connection=self._connection, keys=self._keys, token=token.decode())
            for job_id, token in zip(ids, tokens, strict=True)
            if token and token.startswith(f"{self._token}:".encode())
        ]

    def _job(self, job_id: bytes, flat: list[bytes], token: str) -> Job:
        return Job(job_id.decode(), fields(flat), connection=self._connection, keys=self._keys, token=token)

    def _next_token(self) -> str:
        self._count += 1
        return f"{self._token}:{self._count}"


def _pairs(jobs: list[bytes | list[bytes]]) -> Iterable[tuple[bytes, list[bytes]]]:
    return zip(cast("list[bytes]", jobs[::2]), cast("list[list[bytes]]", jobs[1::2]), strict=True)
