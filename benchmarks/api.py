"""The HTTP side: ``python -m benchmarks.api --json``.

One web process, one process that works on the queue ``message``, and the embedded Valkey and PostgreSQL, durable as
they are shipped. Two ways in are measured, each as fast as it goes and then at a fixed rate:

- ``send``: ``POST /v1/instances/{id}/messages``; nobody sends on, so an answer is a stored row and a job;
- ``webhook``: signed Cloud API deliveries of 50 messages each. ``stored_per_s`` counts from the first request until the
  last message is a row, and each message must be one: a run that lost or doubled any fails.

Limits of requests and the numbers' rate of the queue are lifted: they are what a platform sets, not what it can do.
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text

from benchmarks.driver import run_loop
from benchmarks.http_load import Load, as_fast_as_it_goes, at_a_rate, request
from benchmarks.processes import berrante
from benchmarks.servers import free_port
from berrante.embedded import EmbeddedPostgres, EmbeddedValkey
from berrante.messaging.api_keys import ApiKeys
from berrante.messaging.instances import Instances
from berrante.messaging.organizations import Organizations
from berrante.store import Database, migrate

BATCH = 50
AIM_PER_S = 3_000  # webhook messages
_SECRET = "an app secret"
_STORED_WITHIN_S = 120.0
_LIFTED = {
    "BERRANTE_REQUESTS_PER_MINUTE": "0",
    "BERRANTE_MESSAGE_RATE_MAX": "0",
    "BERRANTE_LOG_LEVEL": "warning",
}


class Bench:
    """A running platform: numbers ``n0``, ``n1`` … of an organization each, with a key."""

    def __init__(self, database: Database, port: int) -> None:
        self.database = database
        self.port = port
        self.keys: list[str] = []
        self._made = 0

    async def people(self, numbers: int) -> None:
        for index in range(numbers):
            organization = await Organizations(self.database).create(f"Bench {index}")
            await Instances(self.database).create(
                organization_id=organization.id,
                id=f"n{index}",
                gateway="cloud",
                phone_number_id=str(1_000 + index),
                app_secret=_SECRET,
                verify_token="t",
            )
            # Sends go out by a number that needs no gateway of Meta's.
            await Instances(self.database).create(organization_id=organization.id, id=f"s{index}")
            _, secret = await ApiKeys(self.database).issue(organization.id, "bench")
            self.keys.append(secret)

    def sends(self, count: int) -> list[bytes]:
        """Return requests of one message each, to a thousand people, the numbers in turn."""
        found = []
        for index in range(self._made, self._made + count):
            number = index % len(self.keys)
            body = {
                "to": f"+55119{80000000 + index % 1_000}",
                "type": "text",
                "text": f"Your order {index} is on its way.",
            }
            headers = {"Authorization": f"Bearer {self.keys[number]}"}
            found.append(request(f"/v1/instances/s{number}/messages", json.dumps(body).encode(), **headers))
        self._made += count
        return found

    def deliveries(self, count: int) -> list[bytes]:
        """Return signed deliveries of ``BATCH`` new messages each, the numbers in turn."""
        found = []
        for index in range(self._made, self._made + count):
            number = index % len(self.keys)
            body = json.dumps(_delivery(number, index)).encode()
            signature = hmac.new(_SECRET.encode(), body, hashlib.sha256).hexdigest()
            path = f"/webhooks/whatsapp/n{number}"
            found.append(request(path, body, X_Hub_Signature_256=f"sha256={signature}"))
        self._made += count
        return found

    async def count(self) -> int:
        async with self.database.begin() as connection:
            found = await connection.execute(text("SELECT count(*) FROM messages WHERE direction = 'in'"))
            return int(found.scalar_one())

    async def until_stored(self, wanted: int) -> None:
        deadline = time.monotonic() + _STORED_WITHIN_S
        while (found := await self.count()) != wanted:
            if found > wanted or time.monotonic() > deadline:
                raise RuntimeError(f"{found} of {wanted} messages are stored")
            await asyncio.sleep(0.05)


def _delivery(number: int, index: int) -> dict[str, Any]:
    people = [f"55119{90000000 + (index * BATCH + n) % 5_000}" for n in range(BATCH)]
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "551140000000", "phone_number_id": str(1_000 + number)},
        "contacts": [{"profile": {"name": f"Ana {who[-4:]}"}, "wa_id": who} for who in people],
        "messages": [
            {
                "from": who,
                "id": f"wamid.{index}.{n}",
                "timestamp": "1795000000",
                "type": "text",
                "text": {"body": f"Is my order {index} on its way?"},
            }
            for n, who in enumerate(people)
        ],
    }
    change = {"field": "messages", "value": value}
    return {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}


@asynccontextmanager
async def running(numbers: int) -> AsyncIterator[Bench]:
    """Run everything for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="b-") as folder:
        os.chmod(folder, 0o711)  # noqa: PTH101  PostgreSQL runs as another user if we are root
        async with (
            EmbeddedValkey(Path(folder) / "valkey") as valkey,
            EmbeddedPostgres(Path(folder) / "postgres") as postgres,
        ):
            await migrate(postgres.url)
            database, port = Database(postgres.url), free_port()
            engines = {"REDIS_URL": valkey.url, "DATABASE_URL": postgres.url, "BERRANTE_DATA_DIR": f"{folder}/data"}
            environment = {
                **os.environ,
                **_LIFTED,
                **engines,
                "BERRANTE_SECRET_KEY": "k" * 32,
                "BERRANTE_PORT": str(port),
            }
            bench = Bench(database, port)
            await bench.people(numbers)
            async with berrante(environment, "web"), berrante(environment, "worker", "message"):
                await _ready(port)
                try:
                    yield bench
                finally:
                    await database.close()


async def _ready(port: int) -> None:
    deadline = time.monotonic() + 120
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        while True:
            try:
                if (await client.get("/health")).status_code == 200:
                    return
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.1)


async def send(bench: Bench, *, requests: int, connections: int) -> dict[str, Any]:
    await as_fast_as_it_goes(bench.port, bench.sends(200), connections=connections)  # both sides warm up
    fast = await as_fast_as_it_goes(bench.port, bench.sends(requests), connections=connections)
    per_s = len(fast.latencies_ms) / fast.took_s / 2
    half = await at_a_rate(bench.port, bench.sends(requests // 2), per_s=per_s, connections=4 * connections)
    return {"fast": fast.shown(), "half": half.shown()}


async def webhook(bench: Bench, *, requests: int, connections: int) -> dict[str, Any]:
    stored = await bench.count()

    async def measure(deliveries: Sequence[bytes], per_s: float | None = None) -> dict[str, Any]:
        nonlocal stored
        began = time.perf_counter()
        load: Load
        if per_s is None:
            load = await as_fast_as_it_goes(bench.port, deliveries, connections=connections)
        else:
            load = await at_a_rate(bench.port, deliveries, per_s=per_s, connections=4 * connections)
        stored += len(deliveries) * BATCH
        await bench.until_stored(stored)
        per_message = {
            "messages_per_s": round(len(deliveries) * BATCH / load.took_s),
            "stored_per_s": round(len(deliveries) * BATCH / (time.perf_counter() - began)),
        }
        return {**load.shown(), **per_message}

    await measure(bench.deliveries(20))
    fast = await measure(bench.deliveries(requests))
    return {"fast": fast, "half_of_aim": await measure(bench.deliveries(requests), per_s=AIM_PER_S / BATCH / 2)}


async def _measure(given: argparse.Namespace) -> dict[str, Any]:
    async with running(given.numbers) as bench:
        found: dict[str, Any] = {"numbers": given.numbers, "load_average": os.getloadavg()[0]}
        if "webhook" in given.parts:
            found["webhook"] = await webhook(bench, requests=given.deliveries, connections=given.connections)
        if "send" in given.parts:
            found["send"] = await send(bench, requests=given.sends, connections=given.connections)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.api", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=["send", "webhook"], default=["send", "webhook"])
    parser.add_argument("--numbers", type=int, default=10, help="of an organization each")
    parser.add_argument("--sends", type=int, default=4_000, help="requests as fast as they go; half as many after")
    parser.add_argument("--deliveries", type=int, default=300, help="webhooks of 50 messages, each way")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    given = parser.parse_args()
    found = run_loop(_measure(given))
    print(json.dumps(found) if given.json else json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
