"""The Python end of ``node/peer.mjs``: one Node process, spoken to in JSON lines."""

import asyncio
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.contract.installation import node
from tests.contract.record import PATIENCE_S, Record

Json = Any
_SCRIPT = Path(__file__).parent / "node" / "peer.mjs"
_LINE_LIMIT = 32 * 1024 * 1024  # the answer to 10,000 jobs is one line


class PeerError(Exception):
    """Node answered with an error; ``kind`` is its class."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """An event as Node's ``QueueEvents`` hands it to its listener."""

    name: str
    fields: dict[str, Json]
    at: str

    @property
    def job_id(self) -> str | None:
        value = self.fields.get("jobId")
        return None if value is None else str(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A worker began a job: ``attempt`` is 1-based, ``started`` counts the takes."""

    job_id: str
    name: str
    attempt: int
    started: int


class Peer:
    """A Node process with npm ``bullmq`` 6.7; use it as a context manager.

    Example::

        async with Peer(redis_url, folder) as peer:
            await peer.queue("message", prefix="t1").add("send", {"n": 1})
    """

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Json]] = {}
        self._streams: dict[str, Callable[[dict[str, Json]], None]] = {}
        self._said: list[str] = []

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            str(node()),
            str(_SCRIPT),
            self._url,
            str(self._folder / "package.json"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE_LIMIT,
        )
        self._readers = [asyncio.create_task(self._answers()), asyncio.create_task(self._errors())]
        await self.call("ping")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.call("close", timeout_s=5)
            await asyncio.wait_for(self._process.wait(), 5)
        finally:
            if self._process.returncode is None:
                self._process.kill()
            await asyncio.gather(*self._readers)
            await self._process.wait()
            # Else the transport closes its pipes in __del__, after the loop has gone.
            self._process._transport.close()  # type: ignore[attr-defined]

    async def call(self, op: str, *, timeout_s: float = PATIENCE_S, **arguments: Json) -> Json:
        """Ask for one operation; raises ``PeerError`` with what Node says."""
        request = next(self._ids)
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._waiting[request] = answer
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": request, "op": op, **arguments}).encode() + b"\n")
        await self._process.stdin.drain()
        try:
            return await asyncio.wait_for(answer, timeout_s)
        except TimeoutError:
            raise AssertionError(f"node did not answer {op!r} within {timeout_s:g} s; stderr: {self._said}") from None

    def queue(self, name: str, *, prefix: str) -> "PeerQueue":
        """A queue of this process."""
        return PeerQueue(self, name, prefix)

    async def worker(
        self, queue: str, *, prefix: str, scripts: Mapping[str, Mapping[str, Json]], options: Mapping[str, Json]
    ) -> "PeerWorker":
        """Start a worker whose handler follows ``scripts``; ``options`` are bullmq's."""
        worker = PeerWorker(self, f"worker-{next(self._ids)}")
        self._streams[worker.handle] = worker.heard
        await self.call(
            "worker",
            handle=worker.handle,
            queue=queue,
            prefix=prefix,
            scripts={name: dict(script) for name, script in scripts.items()},
            options=dict(options),
        )
        return worker

    async def events(self, queue: str, *, prefix: str) -> "PeerEvents":
        """Listen to a queue's events from its first one on."""
        events = PeerEvents(self, f"events-{next(self._ids)}")
        self._streams[events.handle] = events.heard
        await self.call("events", handle=events.handle, queue=queue, prefix=prefix)
        return events

    async def flow(self, tree: Mapping[str, Json], *, prefix: str) -> Json:
        """Add a flow; returns ``{"id": …, "children": [ids]}``."""
        return await self.call("flow", tree=dict(tree), prefix=prefix)

    async def _answers(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            message: dict[str, Json] = json.loads(line)
            if "stream" in message:
                self._streams[message["stream"]](message)
                continue
            answer = self._waiting.pop(message["id"])
            if answer.done():
                continue
            if error := message.get("error"):
                answer.set_exception(PeerError(error["name"], error["message"]))
            else:
                answer.set_result(message["result"])
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(AssertionError(f"node ended; stderr: {self._said}"))

    async def _errors(self) -> None:
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            self._said.append(line.decode().rstrip())

    @property
    def said(self) -> list[str]:
        """What Node wrote to stderr: its warnings."""
        return self._said


@dataclass(frozen=True, slots=True)
class PeerQueue:
    """bullmq's ``Queue``, its options and answers in bullmq's own words."""

    peer: Peer
    name: str
    prefix: str

    async def open(self, **options: Json) -> None:
        """Make Node's ``Queue`` with options, before anything else is asked of it; returns once it wrote meta."""
        await self.peer.call("open", queue=self.name, prefix=self.prefix, options=options)

    async def add(self, name: str, data: Json, **options: Json) -> str:
        return str(await self._call("add", name=name, data=data, opts=options))

    async def add_bulk(self, jobs: Sequence[Mapping[str, Json]], *, timeout_s: float = PATIENCE_S) -> list[str]:
        ids: list[str] = await self._call("addBulk", jobs=[dict(job) for job in jobs], timeout_s=timeout_s)
        return ids

    async def get(self, job_id: str) -> dict[str, Json] | None:
        job: dict[str, Json] | None = await self._call("getJob", jobId=job_id)
        return job

    async def call(self, method: str, *arguments: Json) -> Json:
        """Call any method of ``Queue``."""
        return await self._call("queue", method=method, args=arguments)

    async def job(self, job_id: str, method: str, *arguments: Json) -> Json:
        """Call any method of a ``Job``."""
        return await self._call("job", jobId=job_id, method=method, args=arguments)

    async def counts(self) -> dict[str, int]:
        counts: dict[str, int] = await self.call("getJobCounts")
        return counts

    async def state(self, job_id: str) -> str:
        return str(await self.call("getJobState", job_id))

    async def _call(self, op: str, **arguments: Json) -> Json:
        return await self.peer.call(op, queue=self.name, prefix=self.prefix, **arguments)


class PeerWorker:
    """A Node worker: ``runs`` tells what it began, ``errors`` what it complained of."""

    def __init__(self, peer: Peer, handle: str) -> None:
        self._peer = peer
        self.handle = handle
        self.runs: Record[Run] = Record("runs in node")
        self.errors: list[str] = []

    def heard(self, message: dict[str, Json]) -> None:
        if "run" in message:
            run = Run(
                job_id=message["run"], name=message["name"], attempt=message["attempt"], started=message["started"]
            )
            self.runs.add(run)
        else:
            self.errors.append(message["error"])

    async def release(self) -> None:
        """Let scripts that ``hold`` go on."""
        await self._peer.call("workerRelease", handle=self.handle)

    async def stop(self, *, force: bool = False) -> None:
        """Close it; ``force`` leaves its jobs active, to stall."""
        await self._peer.call("workerStop", handle=self.handle, force=force)


class PeerEvents:
    """Node's ``QueueEvents``: ``seen`` holds every event of the queue."""

    def __init__(self, peer: Peer, handle: str) -> None:
        self._peer = peer
        self.handle = handle
        self.seen: Record[Event] = Record("events in node")

    def heard(self, message: dict[str, Json]) -> None:
        assert "error" not in message, message
        self.seen.add(Event(name=message["event"], fields=message["fields"], at=message["at"]))

    async def first(self, name: str, *, job_id: str | None = None) -> Event:
        """Return the first event of that name, now or later."""
        return await self.seen.first(lambda event: event.name == name and job_id in (None, event.job_id))

    def names(self, job_id: str) -> list[str]:
        """The names of a job's events so far, in order."""
        return [event.name for event in self.seen.items if event.job_id == job_id]

    async def finished(self, queue: PeerQueue, job_id: str, *, ttl_ms: int = 10_000) -> Json:
        """bullmq's ``job.waitUntilFinished``: the return value, or a ``PeerError`` with the reason."""
        return await self._peer.call(
            "waitUntilFinished", queue=queue.name, prefix=queue.prefix, jobId=job_id, handle=self.handle, ttl=ttl_ms
        )
