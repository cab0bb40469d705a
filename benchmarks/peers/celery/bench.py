"""Celery over Redis, on a pool of threads: the only one of its pools that runs 500 jobs at once on a small machine."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from celery import Celery as App
from redis import Redis

from benchmarks.driver import BlockingHandler, Payload, run


class Celery:
    bulk_api = None
    blocking = True
    idle_pause_s = 0.01

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url)
        self._app = App("bench", broker=url)
        self._app.conf.worker_hijack_root_logger = False
        self._handle: BlockingHandler | None = None

        @self._app.task(name="send")
        def send(payload: Payload) -> None:
            assert self._handle is not None
            self._handle(payload)

        self._send = send

    async def add(self, payload: Payload) -> None:
        self._send.delay(payload)

    async def add_many(self, payloads: list[Payload]) -> None:
        for payload in payloads:
            self._send.delay(payload)

    @asynccontextmanager
    async def working(self, concurrency: int, handle: BlockingHandler) -> AsyncIterator[None]:
        self._handle = handle
        worker = self._app.WorkController(
            pool="threads", concurrency=concurrency, without_gossip=True, without_mingle=True
        )
        # A daemon thread: the process ends with the measurement.
        threading.Thread(target=worker.start, daemon=True).start()
        yield

    async def unfinished(self) -> int:
        return self._redis.llen("celery") + self._redis.hlen("unacked")


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Celery]:
    yield Celery(url)


if __name__ == "__main__":
    run(connect)
