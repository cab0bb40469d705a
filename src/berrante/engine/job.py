"""A job: what was asked, and what became of it so far."""

import asyncio
from collections.abc import Mapping
from typing import cast

from berrante.engine.connection import Connection
from berrante.engine.finish_watcher import until_finished
from berrante.engine.options import JobOptions
from berrante.engine.wire import administering, flowing
from berrante.engine.wire.codec import Json, integer, read_json, read_options
from berrante.engine.wire.codes import raise_for
from berrante.engine.wire.exchanging import covers
from berrante.engine.wire.keys import QueueKeys
from berrante.engine.wire.scripts import Call


class Job:
    """One job as it stood when it was read.

    ``data``, ``options`` and the like are decoded when asked for, and raise ``InvalidPayload`` if they cannot be.
    Inside a handler, ``lock_lost`` is set once another worker may run the job: stop, since the outcome will not count.
    """

    __slots__ = ("_connection", "_data", "_hash", "_keys", "_lost", "_options", "id", "token")

    def __init__(
        self, job_id: str, hash_: Mapping[bytes, bytes], *, connection: Connection, keys: QueueKeys, token: str = ""
    ) -> None:
        self.id = job_id
        self.token = token
        self._lost: asyncio.Event | None = None
        self._hash = hash_
        self._connection = connection
        self._keys = keys
        self._data: Json = ...
        self._options: JobOptions | None = None

    def __repr__(self) -> str:
        return f"<Job {self.queue_name}/{self.id} {self.name!r}>"

    @property
    def lock_lost(self) -> asyncio.Event:
        """Set once another worker may run the job, or does."""
        if self._lost is None:  # few handlers ask, and an event costs as much as the rest of a job
            self._lost = asyncio.Event()
        return self._lost

    @property
    def is_lost(self) -> bool:
        """Tell whether ``lock_lost`` is set."""
        return self._lost is not None and self._lost.is_set()

    @property
    def queue_name(self) -> str:
        """The queue that the job is in."""
        return self._keys.queue

    @property
    def key(self) -> str:
        """The key of its hash in Redis, by which a parent names its children."""
        return self._keys.job(self.id)

    @property
    def name(self) -> str:
        """What kind of job it is."""
        return self._hash.get(b"name", b"").decode("utf-8", "replace")

    @property
    def data(self) -> Json:
        """The job's payload."""
        if self._data is ...:
            self._data = read_json(self._hash.get(b"data"), job_id=self.id, field="data")
        return self._data

    @property
    def raw_data(self) -> bytes:
        """The job's payload as it stands in Redis, whether or not it is JSON."""
        return self._hash.get(b"data", b"")

    @property
    def options(self) -> JobOptions:
        """How the job is to be run."""
        if self._options is None:
            self._options = read_options(self._hash.get(b"opts"), job_id=self.id)
        return self._options

    @property
    def raw_options(self) -> Json:
        """All options as BullMQ stores them, with those that this engine does not know."""
        return read_json(self._hash.get(b"opts"), job_id=self.id, field="opts") or {}

    @property
    def attempts_made(self) -> int:
        """How many runs have ended, not counting those handed back uncharged."""
        return integer(self._hash, b"atm", integer(self._hash, b"attemptsMade"))

    @property
    def runs_charged(self) -> int:
        """``atm`` as the scripts count it, without the field of older versions that readers accept."""
        return integer(self._hash, b"atm")

    @property
    def is_plain(self) -> bool:
        """Tell whether the job is outside any flow, deduplication and schedule."""
        return covers(self._hash)

    @property
    def attempt(self) -> int:
        """The number of the current run, or of the next one: 1 is the first."""
        return self.attempts_made + 1

    @property
    def attempts_started(self) -> int:
        """How often a worker took the job, uncharged runs and stalls included."""
        return integer(self._hash, b"ats")

    @property
    def stalled_count(self) -> int:
        """How often its worker fell silent."""
        return integer(self._hash, b"stc")

    @property
    def timestamp_ms(self) -> int:
        """When it was added."""
        return integer(self._hash, b"timestamp")

    @property
    def delay_ms(self) -> int:
        """How long it is to be delayed now; 0 once it waits."""
        return integer(self._hash, b"delay")

    @property
    def priority(self) -> int:
        """Its priority now: 0 is none and first."""
        return integer(self._hash, b"priority")

    @property
    def processed_on_ms(self) -> int | None:
        """When its last run began."""
        return integer(self._hash, b"processedOn") or None

    @property
    def finished_on_ms(self) -> int | None:
        """When it completed or failed for good."""
        return integer(self._hash, b"finishedOn") or None

    @property
    def processed_by(self) -> str | None:
        """The name of the worker that ran it last."""
        raw = self._hash.get(b"pb")
        return raw.decode() if raw else None

    @property
    def progress(self) -> Json:
        """What the handler last said of its progress; 0 at first."""
        raw = self._hash.get(b"progress")
        return 0 if raw is None else read_json(raw, job_id=self.id, field="progress")

    @property
    def return_value(self) -> Json:
        """What the handler returned."""
        return read_json(self._hash.get(b"returnvalue"), job_id=self.id, field="returnvalue")

    @property
    def raw_return_value(self) -> str | None:
        """What the handler returned, as it stands in Redis, whether or not it is JSON."""
        raw = self._hash.get(b"returnvalue")
        return raw.decode("utf-8", "replace") if raw is not None else None

    @property
    def failed_reason(self) -> str | None:
        """Why it failed last."""
        raw = self._hash.get(b"failedReason")
        return raw.decode("utf-8", "replace") if raw is not None else None

    @property
    def deferred_failure(self) -> str | None:
        """Why the next worker that takes it must fail it, without running it (BullMQ's ``defa``)."""
        raw = self._hash.get(b"defa")
        return raw.decode("utf-8", "replace") if raw else None

    @property
    def stacktrace(self) -> list[str]:
        """One trace per failed run, the latest last."""
        lines = read_json(self._hash.get(b"stacktrace"), job_id=self.id, field="stacktrace") or []
        return [str(line) for line in lines] if isinstance(lines, list) else [str(lines)]

    @property
    def trace_context(self) -> str | None:
        """The trace that it belongs to, as its producer wrote it (BullMQ's ``tm``); see ``tracing``."""
        raw = self._hash.get(b"opts")
        if raw is None or b'"tm"' not in raw:
            return None
        options = self.raw_options
        trace = options.get("tm") if isinstance(options, dict) else None
        return trace if isinstance(trace, str) else None

    @property
    def scheduler_id(self) -> str | None:
        """The scheduler that made it (BullMQ's ``rjk``)."""
        raw = self._hash.get(b"rjk")
        return raw.decode() if raw else None

    @property
    def group(self) -> str | None:
        """The group whose turn it waits for; see ``groups``."""
        raw = self._hash.get(b"gid")
        return raw.decode() if raw else None

    @property
    def batch_mates(self) -> int:
        """How many jobs of its group were taken with it, itself included: they are one run of the group."""
        return integer(self._hash, b"mates", 1)

    @property
    def slot(self) -> str:
        """What jobs have in common that are one run of their group; the job's own id if it is alone."""
        raw = self._hash.get(b"slot")
        return raw.decode() if raw else self.id

    @property
    def parent_key(self) -> str | None:
        """The key of the job that waits for this one."""
        raw = self._hash.get(b"parentKey")
        return raw.decode() if raw else None

    @property
    def deduplication_id(self) -> str | None:
        """What it has in common with the jobs that were not added because of it."""
        raw = self._hash.get(b"deid")
        return raw.decode() if raw else None

    async def children_values(self) -> dict[str, Json]:
        """Return what the children that are done returned, by the child's ``key``."""
        return {
            key: read_json(value, job_id=self.id, field=f"processed child {key}")
            for key, value in (await self._children("processed")).items()
        }

    async def failed_children(self) -> dict[str, str]:
        """Return why children failed whose failure the job overlooks or continues after, by the child's ``key``."""
        return {key: reason.decode("utf-8", "replace") for key, reason in (await self._children("failed")).items()}

    async def remove_unprocessed_children(self) -> None:
        """Remove the children that no worker has begun.

        A job that runs before all its children are done, as after ``continue_parent``, cannot complete otherwise.
        """
        await self._connection.run(flowing.remove_unprocessed(self._keys, self.id))

    async def wait_until_finished(self, *, timeout_s: float | None = None) -> Json:
        """Return what the job's handler returned, once it is done, at once if it is already.

        Raises ``JobDidFail`` if it failed for good, ``TimeoutError`` after ``timeout_s``, ``JobMissing`` if it was
        removed, and a ``RedisError`` when the server goes away. Of a job that is not kept once it ended, the end is
        found for a moment only: begin to wait soon.
        """
        return await until_finished(self._connection, self._keys, self.id, timeout_s=timeout_s)

    async def update_progress(self, value: Json) -> None:
        """Store how far the job is, any JSON; listeners of the queue's events are told. Raises ``JobMissing``."""
        await self._change(administering.progress(self._keys, job_id=self.id, value=value), "update_progress")

    async def update_data(self, value: Json) -> None:
        """Replace the job's data, so that its next attempt starts from it. Raises ``JobMissing``."""
        await self._change(administering.data(self._keys, job_id=self.id, value=value), "update_data")
        self._data = value

    async def log(self, line: str) -> int:
        """Append a line to the job's own log and return how many lines are kept. Raises ``JobMissing``."""
        call = administering.log(self._keys, job_id=self.id, line=line, keep=self.options.keep_logs)
        return await self._change(call, "log")

    async def logs(self, start: int = 0, end: int = -1) -> list[str]:
        """Return the job's own log lines from ``start`` to ``end``, both counted from 0, -1 being the last."""
        lines = cast("list[bytes]", await self._connection.redis.lrange(self._keys.logs(self.id), start, end))
        return [line.decode("utf-8", "replace") for line in lines]

    async def _children(self, kind: str) -> dict[str, bytes]:
        hash_ = cast("dict[bytes, bytes]", await self._connection.redis.hgetall(f"{self.key}:{kind}"))
        return {key.decode(): value for key, value in hash_.items()}

    async def _change(self, call: Call, during: str) -> int:
        answer: int = await self._connection.run(call)
        if answer < 0:
            raise_for(answer, job_id=self.id, during=during)
        return answer
