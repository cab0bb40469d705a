"""Dramatiq: one thread per running job."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.driver import BlockingHandler, Payload, run


class Dramatiq:
    bulk_api = None
    blocking = True
    idle_pause_s = 1.0  # an idle consumer asks ever more seldom, once a second in the end

    def __init__(self, broker: RedisBroker) -> None:
        self._broker = broker
        self._handle: BlockingHandler | None = None

        @dramatiq.actor(broker=broker, actor_name="send")
        def send(payload: Payload) -> None:
            assert self._handle is not None
            self._handle(payload)

        self._send = send

    async def add(self, payload: Payload) -> None:
        self._send.send(payload)

    async def add_many(self, payloads: list[Payload]) -> None:
        for payload in payloads:
            self._send.send(payload)

    @asynccontextmanager
    async def working(self, concurrency: int, handle: BlockingHandler) -> AsyncIterator[None]:
        self._handle = handle
        worker = dramatiq.Worker(self._broker, worker_threads=concurrency)
        worker.start()
        yield
        worker.stop()

    async def unfinished(self) -> int:
        # A message stays here until it is acknowledged.
        return self._broker.client.hlen(f"{self._broker.namespace}:default.msgs")


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Dramatiq]:
    # Each thread takes a connection, and redis-py's own limit is below the highest concurrency: the broker would wait
    # 5 s for one.
    yield Dramatiq(RedisBroker(url=f"{url}?max_connections=2000"))


if __name__ == "__main__":
    run(connect)
