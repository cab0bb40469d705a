"""Requests over kept connections, as bare as they can be: what is measured is the server, not its client."""

import asyncio
import time
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from benchmarks.delivery import percentile


class Refused(Exception):
    """The server answered with something else than success."""


class Client:
    """One kept connection; an answer needs a ``Content-Length``, which ours all have."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def post(self, request: bytes) -> None:
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = await self._reader.readexactly(length)
        if status not in {200, 202}:
            raise Refused(f"{status}: {body[:200].decode(errors='replace')}")


@dataclass
class Load:
    """How long each request took, in ms, and how long all did."""

    latencies_ms: list[float] = field(default_factory=list)
    took_s: float = 0.0

    def shown(self) -> dict[str, float]:
        return {
            "requests": len(self.latencies_ms),
            "requests_per_s": round(len(self.latencies_ms) / self.took_s, 1),
            "p50_ms": round(percentile(self.latencies_ms, 0.5), 2),
            "p99_ms": round(percentile(self.latencies_ms, 0.99), 2),
        }


def request(path: str, body: bytes, **headers: str) -> bytes:
    """Return a whole ``POST``; an underscore in a header's name stands for a hyphen."""
    named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}{named}\r\n".encode() + body


async def as_fast_as_it_goes(port: int, requests: Sequence[bytes], *, connections: int) -> Load:
    """Send all requests, as many at once as there are connections, each as soon as the one before was answered."""
    load = Load()
    left: Iterator[bytes] = iter(requests)

    async def pump(client: Client) -> None:
        for each in left:
            began = time.perf_counter()
            await client.post(each)
            load.latencies_ms.append((time.perf_counter() - began) * 1_000)

    async with _clients(port, connections) as clients:
        began = time.perf_counter()
        await asyncio.gather(*(pump(client) for client in clients))
        load.took_s = time.perf_counter() - began
    return load


async def at_a_rate(port: int, requests: Sequence[bytes], *, per_s: float, connections: int) -> Load:
    """Send each request at its time, whatever became of the others; a late start counts as latency."""
    load = Load()
    free: asyncio.Queue[Client] = asyncio.Queue()

    async def send(each: bytes, due: float) -> None:
        client = await free.get()
        await client.post(each)
        load.latencies_ms.append((time.perf_counter() - due) * 1_000)
        free.put_nowait(client)

    async with _clients(port, connections) as clients:
        for client in clients:
            free.put_nowait(client)
        began = time.perf_counter()
        sending: list[Awaitable[None]] = []
        for index, each in enumerate(requests):
            due = began + index / per_s
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            sending.append(asyncio.ensure_future(send(each, due)))
        await asyncio.gather(*sending)
        load.took_s = time.perf_counter() - began
    return load


@asynccontextmanager
async def _clients(port: int, count: int):
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
    try:
        yield [Client(reader, writer) for reader, writer in opened]
    finally:
        for _, writer in opened:
            writer.close()
