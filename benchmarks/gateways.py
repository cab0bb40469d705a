"""The Baileys sidecar at size: ``python -m benchmarks.gateways [--numbers 1 50 100] [--messages 1000] [--json]``.

Numbers are paired by QR with the fake WhatsApp Web server of the tests, over an embedded Valkey and PostgreSQL that are
durable as they are shipped. For each size a new sidecar opens all of them; then so many messages go out, and so many
come in, spread over the numbers, each number with one contact whom it knows. All of it runs on one machine: what the
fake encrypts for its contacts costs about what the sidecar's own work does, so the rates are of both together, and the
processor time is the sidecar's alone.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

from redis.asyncio import Redis

from berrante.embedded import EmbeddedPostgres, EmbeddedValkey
from berrante.gateways.baileys import BaileysGateway, Configuration, SidecarProcess, Sidecars, install
from berrante.gateways.baileys.installation import Installed
from berrante.gateways.media import FolderMediaStore
from berrante.gateways.protocol import Action, OutboundMessage, SendError, TextContent
from berrante.messaging.instances import Instances
from berrante.messaging.organizations import Organizations
from berrante.store import Database, migrate, new_id
from tests.connections.tls import certificates
from tests.gateways.baileys.fake_whatsapp import FakeWhatsApp, fake_whatsapp
from tests.gateways.baileys.sidecar import free_port

AT_ONCE = 50
SETTLE_S = 5.0
TOKEN = "a-token-of-the-benchmark"
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one size showed. Rates are messages a second, ``cpu`` milliseconds of the sidecar a message.

    ``held`` counts sends that were held, by a link that broke for instance, and done again as a worker does.
    """

    numbers: int
    load_average: float
    opened_s: float
    idle_rss_mb: float
    out_per_s: float
    out_cpu_ms: float
    in_per_s: float
    in_cpu_ms: float
    held: int
    busy_rss_mb: float


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What stays from one size to the next."""

    installed: Installed
    folder: Path
    database: Database
    database_url: str
    redis: Redis
    redis_url: str
    whatsapp: FakeWhatsApp
    organization_id: UUID


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A sidecar that runs."""

    process: SidecarProcess
    sidecars: Sidecars
    gateway: BaileysGateway
    held: list[str]

    def rss_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1_024

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK


async def run(sizes: list[int], messages: int) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="b-") as name:
        folder = Path(name)
        os.chmod(folder, 0o711)  # noqa: PTH101  PostgreSQL runs as another user if we are root
        installed = install(folder)
        async with (
            EmbeddedPostgres(folder / "postgres") as postgres,
            EmbeddedValkey(folder / "valkey") as valkey,
            fake_whatsapp(installed.node, certificates(folder / "tls")) as whatsapp,
        ):
            await migrate(postgres.url)
            database, redis = Database(postgres.url), Redis.from_url(valkey.url)
            await whatsapp.order("tells", tells=False)
            bench = Bench(
                installed=installed,
                folder=folder,
                database=database,
                database_url=postgres.url,
                redis=redis,
                redis_url=valkey.url,
                whatsapp=whatsapp,
                organization_id=(await Organizations(database).create("Bench")).id,
            )
            try:
                return [await _size(bench, numbers, messages) for numbers in sorted(sizes)]
            finally:
                await redis.aclose()
                await database.close()


async def _size(bench: Bench, numbers: int, messages: int) -> Row:
    await _pair(bench, numbers)
    began = time.perf_counter()
    async with _sidecar(bench) as opened:
        await asyncio.gather(*(_open(opened, _instance(n)) for n in range(numbers)))
        opened_s = time.perf_counter() - began
        for n in range(numbers):  # sessions are made once in the life of a chat
            await _send(bench, opened, n)
            await _write(bench, n)
        await asyncio.sleep(SETTLE_S)
        idle = opened.rss_mb()
        out_per_s, out_cpu = await _timed(opened, messages, lambda: _out(bench, opened, numbers, messages))
        in_per_s, in_cpu = await _timed(opened, messages, lambda: _in(bench, numbers, messages))
        return Row(
            numbers=numbers,
            load_average=round(os.getloadavg()[0], 1),
            opened_s=round(opened_s, 1),
            idle_rss_mb=round(idle),
            out_per_s=round(out_per_s, 1),
            out_cpu_ms=round(out_cpu, 2),
            in_per_s=round(in_per_s, 1),
            in_cpu_ms=round(in_cpu, 2),
            held=len(opened.held),
            busy_rss_mb=round(opened.rss_mb()),
        )


async def _timed(opened: Opened, messages: int, work: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    cpu, began = opened.cpu_s(), time.perf_counter()
    await work()
    return messages / (time.perf_counter() - began), (opened.cpu_s() - cpu) * 1_000 / messages


async def _out(bench: Bench, opened: Opened, numbers: int, messages: int) -> None:
    seen = len(await bench.whatsapp.seen())
    await _spread(messages, lambda n: _send(bench, opened, n % numbers))
    assert len(await bench.whatsapp.seen()) - seen == messages, "a message was lost, or seen twice"


async def _in(bench: Bench, numbers: int, messages: int) -> None:
    before = int(await bench.redis.llen("bull:message:wait"))
    await _spread(messages, lambda n: _write(bench, n % numbers))
    while int(await bench.redis.llen("bull:message:wait")) - before < messages:  # noqa: ASYNC110  another process adds
        await asyncio.sleep(0.01)
    assert int(await bench.redis.llen("bull:message:wait")) - before == messages, "a message came in twice"


async def _spread(messages: int, each: Callable[[int], Awaitable[object]]) -> None:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(n: int) -> None:
        async with room:
            await each(n)

    await asyncio.gather(*(one(n) for n in range(messages)))


async def _pair(bench: Bench, numbers: int) -> None:
    """Pair those that are not paired yet, in a sidecar that ends then: what pairing leaves in memory does not count."""
    async with _sidecar(bench) as opened:
        for n in range(numbers):
            instance_id = _instance(n)
            instances = Instances(bench.database)
            if await instances.find(bench.organization_id, instance_id) is not None:
                continue
            await bench.whatsapp.contacts(_contact(n))
            await instances.create(organization_id=bench.organization_id, id=instance_id, gateway="baileys")
            await opened.sidecars.connect(instance_id, organization_id=bench.organization_id)
            scanned = ""
            async for status in opened.sidecars.watch(instance_id):
                if status.qr and status.qr != scanned:
                    scanned = status.qr
                    await bench.whatsapp.scan(status.qr, _user(n))
                if status.state == "open":
                    break


async def _open(opened: Opened, instance_id: str) -> None:
    async for status in opened.sidecars.watch(instance_id):
        if status.state == "open":
            return


@asynccontextmanager
async def _sidecar(bench: Bench) -> AsyncIterator[Opened]:
    configuration = Configuration(
        redis_url=bench.redis_url,
        database_url=bench.database_url,
        queue_prefix="bull",
        token=TOKEN,
        key=base64.b64encode(bytes(32)).decode(),
        port=free_port(),
        testing=True,
        whatsapp_url=bench.whatsapp.wa,
        whatsapp_root=bench.whatsapp.root,
    )
    process = SidecarProcess(
        configuration.environment(),
        data_dir=bench.folder,
        listener=lambda *_: None,
        installed=bench.installed,
    )
    running = asyncio.create_task(process.run())
    try:
        process.need()
        await process.ready.wait()
        async with Sidecars([configuration.url], token=TOKEN) as sidecars:
            gateway = BaileysGateway(sidecars, FolderMediaStore(bench.folder / "media"), is_cold=_never)
            yield Opened(process=process, sidecars=sidecars, gateway=gateway, held=[])
            await gateway.close()
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def _send(bench: Bench, opened: Opened, n: int) -> None:
    message = _message(bench, opened, n)
    while True:
        try:
            await opened.gateway.send(message)
        except SendError as error:
            if error.action is not Action.HOLD:
                raise
            opened.held.append(error.code)
            await asyncio.sleep((error.retry_after_ms or 1_000) / 1_000)
        else:
            return


async def _never(**_: object) -> bool:
    return False


def _message(bench: Bench, opened: Opened, n: int) -> OutboundMessage:
    message_id = new_id()
    return OutboundMessage(
        organization_id=bench.organization_id,
        instance_id=_instance(n),
        message_id=message_id,
        wire_id=opened.gateway.wire_id(message_id),
        to=f"+{_contact(n)}",
        content=TextContent(body="Your order is on its way."),
    )


async def _write(bench: Bench, n: int) -> None:
    await bench.whatsapp.write(_contact(n), "Is my order on its way?", user=_user(n))


def _instance(n: int) -> str:
    return f"number-{n}"


def _user(n: int) -> str:
    return f"1555{n:07}"


def _contact(n: int) -> str:
    return f"55119{n:08}"


def main() -> None:
    parser = argparse.ArgumentParser(description="The Baileys sidecar at size.")
    parser.add_argument("--numbers", type=int, nargs="+", default=[1, 50, 100])
    parser.add_argument("--messages", type=int, default=1_000, help="In each direction, at each size.")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    given = parser.parse_args()
    found = [asdict(row) for row in asyncio.run(run(given.numbers, given.messages))]
    print(json.dumps(found) if given.json else json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
