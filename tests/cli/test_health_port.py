"""A worker process can be looked at from outside."""

import signal
import socket
from pathlib import Path

import httpx

from tests.cli.command import running
from tests.waiting import until


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_worker_serves_health_and_metrics_on_its_own_port(
    redis_url: str, database_url: str, prefix: str, tmp_path: Path
) -> None:
    port = _free_port()
    environment = {"REDIS_URL": redis_url, "DATABASE_URL": database_url, "BERRANTE_QUEUE_PREFIX": prefix}
    arguments = ("worker", "maintenance", "--health-port", str(port))
    async with running(*arguments, data_dir=tmp_path, **environment) as command:
        await until(lambda: "web.listening" in command.errors, timeout_s=60)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert (await client.get("/health/ready")).status_code == 200

            async def has_swept() -> bool:
                found = (await client.get("/health/queues")).json()["queues"]["maintenance"]
                return found["completed"] >= 1 and found["workers"] == 1

            await until(has_swept, timeout_s=30)
            assert 'berrante_jobs_total{outcome="completed",queue="maintenance"}' in (await client.get("/metrics")).text
            assert (await client.get("/v1/messages")).status_code == 404
        command.process.send_signal(signal.SIGTERM)
        ended = await command.ended(within_s=20)
    assert ended.code == 0, ended.errors
    assert "service.stopped" in ended.errors
