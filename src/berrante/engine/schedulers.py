"""Jobs made on a schedule: every so often, or by a cron pattern in a time zone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from berrante.engine.connection import Connection
from berrante.engine.job import Job
from berrante.engine.options import JobOptions
from berrante.engine.policy.cron import next_run_ms
from berrante.engine.wire import scheduling
from berrante.engine.wire.codec import Json, integer, read_json, write_options
from berrante.engine.wire.codes import raise_for
from berrante.engine.wire.keys import QueueKeys


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheduler:
    """A scheduler as it stands in Redis; times in milliseconds since the epoch.

    ``limit`` is how many jobs it makes at most, ``raw_options`` what its jobs' options are made of, as BullMQ stores
    them.
    """

    id: str
    name: str
    next_ms: int
    every_ms: int | None
    cron: str | None
    tz: str | None
    iterations: int
    data: Json
    limit: int | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    raw_options: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Schedulers:
    """The job schedulers of one queue, shared with Node: whoever runs a scheduler's job adds the next one."""

    connection: Connection
    keys: QueueKeys

    async def upsert(
        self,
        scheduler_id: str,
        *,
        name: str,
        every_ms: int | None = None,
        cron: str | None = None,
        tz: str | None = None,
        data: Json = None,
        options: JobOptions | None = None,
    ) -> None:
        """Register a scheduler, or change it; its next job is added, and the former one replaced.

        Give ``every_ms``, or ``cron`` with five fields (six: seconds first) and, if not UTC, an IANA ``tz``. Raises
        ``ValueError`` that names what is wrong.
        """
        if options and options.deduplication:
            raise ValueError(f"scheduler {scheduler_id!r}: a schedule is one job at a time; leave deduplication out")
        repeat = _said(every=every_ms, pattern=cron, tz=tz)
        await self._register(
            scheduler_id, name=name, repeat=repeat, data=data, template=write_options(options or JobOptions())
        )

    async def reschedule(
        self,
        scheduler_id: str,
        *,
        every_ms: int | None = None,
        cron: str | None = None,
        tz: str | None = None,
        limit: int | None = None,
        end_ms: int | None = None,
    ) -> bool:
        """Give a scheduler other times and leave its jobs' name, data and options; False if there is none.

        ``limit`` bounds how many jobs it makes, ``end_ms`` (since the epoch) until when. Otherwise as ``upsert``.
        """
        now = self.connection.now_ms()
        if limit is not None and limit < 1:
            raise ValueError(f"scheduler {scheduler_id!r}: limit is {limit}, give 1 or more")
        if end_ms is not None and end_ms <= now:
            raise ValueError(f"scheduler {scheduler_id!r}: end_ms is {end_ms}, which is past: give a time to come")
        current = await self.get(scheduler_id)
        if current is None:
            return False
        repeat = _said(every=every_ms, pattern=cron, tz=tz, limit=limit, endDate=end_ms)
        await self._register(
            scheduler_id, name=current.name, repeat=repeat, data=current.data, template=current.raw_options
        )
        return True

    async def get(self, scheduler_id: str) -> Scheduler | None:
        """Return a scheduler, or None."""
        async with self.connection.redis.pipeline(transaction=False) as pipeline:
            pipeline.zscore(self.keys.repeat, scheduler_id)
            pipeline.hgetall(f"{self.keys.repeat}:{scheduler_id}")
            next_ms, hash_ = await pipeline.execute()
        return None if next_ms is None or not hash_ else _scheduler(scheduler_id, int(next_ms), hash_)

    async def _register(
        self, scheduler_id: str, *, name: str, repeat: dict[str, Json], data: Json, template: Mapping[str, Json]
    ) -> None:
        every_ms, cron = repeat.get("every"), repeat.get("pattern")
        if (every_ms is None) == (cron is None):
            raise ValueError(f"scheduler {scheduler_id!r}: give either every_ms or cron")
        if every_ms is not None and every_ms < 1:
            raise ValueError(f"scheduler {scheduler_id!r}: every_ms is {every_ms}, give milliseconds, 1 or more")
        now = self.connection.now_ms()
        next_ms = now if cron is None else next_run_ms(cron, tz=repeat.get("tz"), after_ms=now)
        call = scheduling.upsert(
            self.keys,
            scheduler_id=scheduler_id,
            next_ms=next_ms,
            scheduler={"name": name, **repeat},
            data={} if data is None else data,
            template=dict(template),
            job=_next_job(template, scheduler_id, repeat, count=1, next_ms=next_ms, now_ms=now),
            now_ms=now,
        )
        answer = await self.connection.run(call)
        if isinstance(answer, int) and answer < 0:
            raise_for(answer, job_id=scheduler_id, during="upsert of a scheduler")

    async def remove(self, scheduler_id: str) -> bool:
        """Remove a scheduler and its next job; False if there is none."""
        return bool(await self.connection.run(scheduling.remove(self.keys, scheduler_id)) == 0)

    async def list(self) -> list[Scheduler]:
        """Return all schedulers, the next to run first."""
        redis = self.connection.redis
        rows = cast("list[tuple[bytes, float]]", await redis.zrange(self.keys.repeat, 0, -1, withscores=True))
        async with redis.pipeline(transaction=False) as pipeline:
            for scheduler_id, _ in rows:
                pipeline.hgetall(f"{self.keys.repeat}:{scheduler_id.decode()}")
            hashes: list[Mapping[bytes, bytes]] = await pipeline.execute()
        return [_scheduler(row[0].decode(), int(row[1]), hash_) for row, hash_ in zip(rows, hashes, strict=True)]

    async def advance(self, job: Job) -> None:
        """Add the job that follows ``job``, which a scheduler made and a worker just took. Safe to call twice."""
        scheduler_id = job.scheduler_id
        assert scheduler_id is not None
        options = job.raw_options
        repeat = options.get("repeat") or {}
        count = int(repeat.get("count") or 1) + 1
        now = self.connection.now_ms()
        if (repeat.get("limit") and count > repeat["limit"]) or (repeat.get("endDate") and now > repeat["endDate"]):
            return
        now = max(now, int(options.get("prevMillis") or 0))
        pattern = repeat.get("pattern")
        next_ms = next_run_ms(pattern, tz=repeat.get("tz"), after_ms=now) if pattern else now
        template = {name: value for name, value in options.items() if name not in {"jobId", "delay"}}
        call = scheduling.advance(
            self.keys,
            scheduler_id=scheduler_id,
            next_ms=next_ms,
            data=job.data,
            job=_next_job(
                template, scheduler_id, repeat, count=count, next_ms=next_ms, now_ms=self.connection.now_ms()
            ),
            producer_id=job.id,
            now_ms=self.connection.now_ms(),
        )
        await self.connection.run(call)


def _next_job(
    template: Mapping[str, Json],
    scheduler_id: str,
    repeat: Mapping[str, Json],
    *,
    count: int,
    next_ms: int,
    now_ms: int,
) -> dict[str, Json]:
    return {
        **template,
        "jobId": f"repeat:{scheduler_id}:{next_ms}",
        "delay": max(0, next_ms + int(repeat.get("offset") or 0) - now_ms),
        "timestamp": now_ms,
        # Of an interval the script finds the time, and Node says none here.
        **({"prevMillis": next_ms} if "pattern" in repeat else {}),
        "repeatJobKey": scheduler_id,
        "repeat": {**repeat, "count": count},
    }


def _said(**wanted: Json) -> dict[str, Json]:
    return {name: value for name, value in wanted.items() if value is not None}


def _scheduler(scheduler_id: str, next_ms: int, hash_: Mapping[bytes, bytes]) -> Scheduler:
    def text(name: bytes) -> str | None:
        raw = hash_.get(name)
        return raw.decode() if raw else None

    return Scheduler(
        id=scheduler_id,
        name=text(b"name") or scheduler_id,
        next_ms=next_ms,
        every_ms=integer(hash_, b"every") or None,
        cron=text(b"pattern"),
        tz=text(b"tz"),
        iterations=integer(hash_, b"ic"),
        data=read_json(hash_.get(b"data"), job_id=scheduler_id, field="data"),
        limit=integer(hash_, b"limit") or None,
        start_ms=integer(hash_, b"startDate") or None,
        end_ms=integer(hash_, b"endDate") or None,
        raw_options=read_json(hash_.get(b"opts"), job_id=scheduler_id, field="opts") or {},
    )
