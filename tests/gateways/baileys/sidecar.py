"""Runs the real sidecar against the fake, as the service does."""

import asyncio
import base64
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from berrante.gateways.baileys import BaileysGateway, SidecarProcess, Sidecars
from berrante.gateways.baileys.installation import Installed
from tests.gateways.baileys.fake_whatsapp import FakeWhatsApp
from tests.waiting import until

TOKEN = "a-token-of-the-tests"
KEY = base64.b64encode(bytes(range(32))).decode()


@dataclass(kw_only=True)
class Line:
    """One line of the sidecar's log."""

    level: str
    event: str
    fields: Mapping[str, Any]


@dataclass(kw_only=True)
class Sidecar:
    """A sidecar that is watched, and started again when it dies."""

    process: SidecarProcess
    environment: dict[str, str]
    sidecars: Sidecars
    gateway: BaileysGateway
    running: asyncio.Task[None]
    said: list[Line] = field(default_factory=list)

    def events(self, name: str) -> list[Line]:
        return [line for line in self.said if line.event == name]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.environment['BERRANTE_BAILEYS_PORT']}"

    async def ready(self) -> None:
        await asyncio.wait_for(self.process.ready.wait(), 60)

    async def kill(self) -> None:
        """SIGKILL it by its id, and wait until the watcher has noticed."""
        pid = self.process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: self.process.pid != pid)

    async def die(self) -> None:
        """SIGKILL it, and its watcher with it: nothing is released, and nothing starts again."""
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.running

    async def until_state(self, state: str, instance_id: str = "sales") -> None:
        async def has_state() -> bool:
            return (await self.sidecars.status(instance_id)).state == state

        await until(has_state, timeout_s=30)


@asynccontextmanager
async def sidecar(
    installed: Installed,
    whatsapp: FakeWhatsApp,
    *,
    redis_url: str,
    database_url: str,
    prefix: str,
    data_dir: Path,
    **environment: str,
) -> AsyncIterator[Sidecar]:
    """Run a sidecar for the time of the block; ``environment`` goes before what tests usually set."""
    port = free_port()
    given = {
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "BERRANTE_QUEUE_PREFIX": prefix,
        "BERRANTE_BAILEYS_TOKEN": TOKEN,
        "BERRANTE_BAILEYS_KEY": KEY,
        "BERRANTE_BAILEYS_PORT": str(port),
        "BERRANTE_BAILEYS_LEASE_MS": "3000",
        "BERRANTE_BAILEYS_ACK_MS": "3000",
        "BERRANTE_BAILEYS_BACKOFF_MS": "50",
        "BERRANTE_BAILEYS_BACKOFF_CAP_MS": "400",
        "SIDECAR_TEST": "1",
        "SIDECAR_TEST_WA_URL": whatsapp.wa,
        "SIDECAR_TEST_WA_ROOT": whatsapp.root,
    } | environment
    said: list[Line] = []

    def hear(level: str, event: str, fields: Mapping[str, Any]) -> None:
        said.append(Line(level=level, event=event, fields=fields))

    process = SidecarProcess(given, data_dir=data_dir, listener=hear, installed=installed)
    running = asyncio.create_task(process.run())
    async with Sidecars([f"http://127.0.0.1:{port}"], token=TOKEN, on_need=process.need) as sidecars:
        made = Sidecar(
            process=process,
            environment=process.environment,
            sidecars=sidecars,
            gateway=BaileysGateway(sidecars),
            running=running,
            said=said,
        )
        try:
            process.need()
            await made.ready()
            yield made
        finally:
            sys.stdout.write("\n".join(map(repr, said)))  # pytest shows it with a failure
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
