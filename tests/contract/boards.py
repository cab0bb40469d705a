"""The genuine Bull Board on Node and ours, each over its own copy of the same data."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from redis import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from berrante.engine import Connection, Queue
from berrante.web.board.app import Board
from berrante.web.board.guarding import Identity
from berrante.web.board.options import BoardOptions
from tests.contract.installation import install, node
from tests.differential.snapshot import Snapshot, snapshot

HERE = Path(__file__).parent / "board"
NAMES = ("orders", "mail", "empty")
PATH = "/admin/queues"
_SEEDED, _NODES, _OURS = 13, 14, 15  # databases: copies must agree in their keys, which hold the prefix
# A moment, or what is left until one.
_CLOCK = re.compile(r"\d{13,}(?:\.\d+)?|\d\.\d+e\+1\d|(?<=delay': )\d{4,}|(?<=delay': b')\d{4,}")
Json = Any

_GRACE_S = 5.0  # Bull Board's


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A status and a body, with whatever a clock wrote in it taken out."""

    status: int
    body: Json


@dataclass(slots=True)
class Side:
    """One of the two boards, and the database that it works on."""

    client: httpx.AsyncClient
    database: Redis
    prefix: str

    async def ask(self, method: str, path: str, body: Json = None) -> Reply:
        answer = await self.client.request(method, f"{PATH}/api{path}", json=body)
        return Reply(status=answer.status_code, body=answer.json() if answer.content else None)

    def state(self) -> Snapshot:
        """All keys, without times."""
        return {key: _timeless(repr(value)) for key, value in _keys(snapshot(self.database, self.prefix))}


@dataclass(slots=True)
class Boards:
    """Both, after ``fresh``, over the same data."""

    node: Side
    ours: Side
    seeded: Redis
    seeded_at: float = field(default_factory=time.monotonic)
    written: list[tuple[str, str | None, str | None]] = field(default_factory=list)

    def fresh(self) -> None:
        for side in (self.node, self.ours):
            side.database.flushdb()
        for key in self.seeded.scan_iter(f"{self.ours.prefix}:*", count=1_000):
            for database in (_NODES, _OURS):
                assert self.seeded.copy(key, key, destination_db=database)

    @property
    def is_aged(self) -> bool:
        """Tell whether all jobs are older than what a clean leaves alone, for both, whoever is asked first."""
        return time.monotonic() - self.seeded_at > _GRACE_S + 1

    async def both(self, method: str, path: str, body: Json = None) -> tuple[Reply, Reply]:
        return await self.node.ask(method, path, body), await self.ours.ask(method, path, body)


@asynccontextmanager
async def boards(redis_url: str, prefix: str) -> AsyncIterator[Boards]:
    """Seed, and start both."""
    package = install(HERE) / "package.json"
    root = redis_url.rpartition("/")[0]
    await _run("seed.mjs", f"{root}/{_SEEDED}", prefix, str(package))
    process = await asyncio.create_subprocess_exec(
        str(node()), str(HERE / "board.mjs"), f"{root}/{_NODES}", prefix, str(package), *NAMES,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    assert process.stdin
    port = json.loads(await process.stdout.readline())["port"]
    written: list[tuple[str, str | None, str | None]] = []
    async with (
        Connection.from_url(f"{root}/{_OURS}") as connection,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as theirs,
        httpx.AsyncClient(transport=httpx.ASGITransport(_app(connection, prefix, written)), base_url="http://x") as own,
    ):
        own.cookies.set("XSRF-TOKEN", "t")
        own.headers["X-XSRF-TOKEN"] = "t"
        pair = Boards(
            node=Side(theirs, Redis.from_url(f"{root}/{_NODES}"), prefix),
            ours=Side(own, Redis.from_url(f"{root}/{_OURS}"), prefix),
            seeded=Redis.from_url(f"{root}/{_SEEDED}"),
            written=written,
        )
        try:
            pair.fresh()
            yield pair
        finally:
            process.stdin.close()
            await process.wait()
            for database in (pair.node.database, pair.ours.database, pair.seeded):
                database.flushdb()
                database.close()


def _app(connection: Connection, prefix: str, written: list[tuple[str, str | None, str | None]]) -> Starlette:
    queues = {name: Queue(name, connection, prefix=prefix) for name in NAMES}

    async def everybody(_: Request) -> Identity:
        return Identity(id="1", name="owner")

    async def note(_: Identity, action: str, queue: str | None, job_id: str | None) -> None:
        written.append((action, queue, job_id))

    return Starlette(routes=[Mount(PATH, Board(lambda: queues, everybody, note, BoardOptions()))])


async def _run(script: str, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        str(node()), str(HERE / script), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    _, error = await process.communicate()
    assert process.returncode == 0, error.decode()


def _keys(found: Snapshot) -> list[tuple[str, object]]:
    return [(_timeless(key), value) for key, value in found.items()]


def _timeless(text: str) -> str:
    return _CLOCK.sub("T", text)


def timeless(body: Json) -> Json:
    """Take out what a clock wrote."""
    return json.loads(_timeless(json.dumps(body)).replace(": T", ': "T"').replace("[T", '["T"').replace(", T", ', "T"'))
