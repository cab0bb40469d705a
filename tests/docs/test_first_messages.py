"""The snippets of ``docs/first-messages.md``, run as they stand there against a service that runs."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from berrante.app import Application, demo
from berrante.app.serving import address_of, listen, serve
from berrante.web.app import create_app
from tests.app.process import settings_for, working
from tests.conftest import OwnServer
from tests.contract.installation import install, node
from tests.waiting import until

PAGE = Path(__file__).parents[2] / "docs/first-messages.md"
API_KEY = "brt_live_0123456789abcdef0123456789abcdef"


def needs(*programs: str) -> None:
    """Skip with a clear line where a program of the page is missing; in CI nothing may be skipped."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing and os.environ.get("CI"):
        pytest.fail(f"install {', '.join(missing)}: the page uses it", pytrace=False)
    if missing:
        pytest.skip(f"the page's snippet needs {', '.join(missing)}")


@dataclass(frozen=True)
class Service:
    """What a reader of the page has in the shell."""

    environment: dict[str, str]

    async def run(self, *command: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=os.environ | self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await process.communicate()
        assert process.returncode == 0, error.decode()
        return out.decode()

    async def messages(self) -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {API_KEY}"}
        async with httpx.AsyncClient(base_url=self.environment["ADDRESS"]) as client:
            answer = await client.get("/v1/messages", params={"limit": 5}, headers=headers)
        listed: list[dict[str, Any]] = answer.json()["data"]
        return listed

    async def replied(self, text: str) -> list[dict[str, Any]]:
        """Wait for the message and a reply that WhatsApp took."""

        async def both() -> list[dict[str, Any]]:
            listed = await self.messages()
            came = any(each["content"]["text"] == text for each in listed if each["direction"] == "in")
            went = any(each["status"] in {"sent", "delivered", "read"} for each in listed if each["direction"] == "out")
            return listed if came and went else []

        return await until(both)


@pytest.fixture
async def service(own_valkey: OwnServer, database_url: str) -> AsyncIterator[Service]:
    # A server of its own: the page speaks of the queue under BullMQ's default prefix.
    settings = settings_for(redis_url=own_valkey.url, database_url=database_url, prefix="bull")
    asked = settings.demo.model_copy(
        update={"contacts": 0, "api_key": SecretStr(API_KEY), "app_secret": SecretStr("an-app-secret")}
    )
    settings = settings.model_copy(update={"demo": asked})
    async with Application.open(settings, latency_ms=5) as application:
        access = await demo.prepare(application)
        async with working(application), _served(application) as address:
            yield Service(
                {
                    "ADDRESS": address,
                    "BERRANTE_DEMO_APP_SECRET": "an-app-secret",
                    "BERRANTE_DEMO_API_KEY": API_KEY,
                    "REDIS_URL": own_valkey.url,
                    "ORGANIZATION_ID": str(access.instance.organization_id),
                }
            )


@asynccontextmanager
async def _served(application: Application) -> AsyncIterator[str]:
    stop = asyncio.Event()
    listener = listen("127.0.0.1", 0)
    address = address_of(listener)
    serving = asyncio.create_task(serve(create_app(application), listener, until=stop))

    async def answers() -> bool:
        async with httpx.AsyncClient() as client:
            try:
                return (await client.get(f"{address}/health/redis")).status_code == 200
            except httpx.TransportError:
                return False

    await until(answers)
    yield address
    stop.set()
    await serving


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


async def test_the_signed_webhook_does_what_the_page_says(service: Service) -> None:
    needs("bash", "curl", "openssl")
    deliver, look = snippets("bash")
    await service.run("bash", "-euc", deliver)
    await service.run("bash", "-euc", deliver)
    await service.replied("Oi, qual o preço?")
    shown = await service.run("bash", "-euc", look)
    assert "wamid.FIRST1" in shown
    assert "+5511999990001" in shown
    assert len([each for each in await service.messages() if each["direction"] == "in"]) == 1


async def test_the_job_from_node_does_what_the_page_says(service: Service) -> None:
    (script,) = snippets("js")
    folder = install()
    file = folder / f"first-messages-{os.getpid()}.mjs"
    file.write_text(script)
    try:
        await service.run(str(node()), str(file))
    finally:
        file.unlink()
    listed = await service.replied("Olá, do Node")
    assert {each["address"] for each in listed} == {"+5511999990002"}
