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
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from berrante.engine.connection import system_clock
from berrante.gateways.baileys import BaileysGateway, Configuration, SidecarProcess, Sidecars
from berrante.gateways.baileys.installation import Installed
from berrante.gateways.media import FolderMediaStore
from berrante.messaging.baileys.strangers import Strangers
from berrante.messaging.files.registering import RegisteredMedia
from berrante.store import Database
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
    configuration: Configuration
    sidecars: Sidecars
    gateway: BaileysGateway
    store: FolderMediaStore
    running: asyncio.Task[None]
    said: list[Line] = field(default_factory=list)

    def events(self, name: str) -> list[Line]:
        return [line for line in self.said if line.event == name]

    @property
    def url(self) -> str:
        return self.configuration.url

    def live(self) -> None:
        """Have it started again without the line on which it kills itself."""
        self.process.environment |= replace(self.configuration, die_at=None).environment()

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
    **settings: Any,
) -> AsyncIterator[Sidecar]:
    """Run a sidecar for the time of the block; ``settings`` go before what tests usually set."""
    usual: dict[str, Any] = {"lease_ms": 3_000, "ack_ms": 3_000, "backoff_ms": 50, "backoff_cap_ms": 400}
    configuration = Configuration(
        redis_url=redis_url,
        database_url=database_url,
        queue_prefix=prefix,
        token=TOKEN,
        key=KEY,
        port=free_port(),
        testing=True,
        whatsapp_url=whatsapp.wa,
        whatsapp_root=whatsapp.root,
        **usual | settings,
    )
    said: list[Line] = []

    def hear(level: str, event: str, fields: Mapping[str, Any]) -> None:
        said.append(Line(level=level, event=event, fields=fields))

    process = SidecarProcess(configuration.environment(), data_dir=data_dir, listener=hear, installed=installed)
    running = asyncio.create_task(process.run())
    database = Database(database_url)
    async with Sidecars([configuration.url], token=TOKEN, on_need=process.need) as sidecars:
        store = FolderMediaStore(data_dir / "media")
        gateway = BaileysGateway(
            sidecars,
            RegisteredMedia(store, database, clock=system_clock, unnamed_for=timedelta(days=1)),
            is_cold=Strangers(database).is_cold,
            trust=whatsapp.certificates.client_context(),
        )
        made = Sidecar(
            process=process,
            configuration=configuration,
            sidecars=sidecars,
            gateway=gateway,
            store=store,
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
            await gateway.close()
            await database.close()


def gateway_over(sidecars: Sidecars) -> BaileysGateway:
    """A gateway that has no files, and to which everybody is known."""

    async def never(**_: object) -> bool:
        return False

    return BaileysGateway(sidecars, FolderMediaStore(Path("/nonexistent")), is_cold=never)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
