"""Connecting a number over HTTP, as an organization does: server-sent events with the QR code, and what is refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from pydantic import SecretStr

from berrante.app import Application
from berrante.app.serving import address_of, listen, serve
from berrante.messaging.instances import Instances
from berrante.messaging.organizations import Organizations
from berrante.settings import BaileysSettings
from berrante.web.app import create_app
from tests.app.process import settings_for
from tests.gateways.baileys.conftest import OpenSidecar
from tests.gateways.baileys.fake_whatsapp import NUMBER, FakeWhatsApp
from tests.gateways.baileys.sidecar import TOKEN, Sidecar
from tests.messaging.platform import Platform
from tests.waiting import until


@asynccontextmanager
async def served(made: Sidecar, platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """The web side in front of that sidecar, with the organization's key."""
    settings = settings_for(
        redis_url=made.configuration.redis_url,
        database_url=made.configuration.database_url,
        prefix=platform.prefix,
        baileys=BaileysSettings(urls=made.url, token=SecretStr(TOKEN)),
    )
    async with Application.open(settings) as application:
        _, secret = await application.api_keys.issue(platform.organization.id, "tests")
        stop, listener = asyncio.Event(), listen("127.0.0.1", 0)
        headers = {"Authorization": f"Bearer {secret}"}
        serving = asyncio.create_task(serve(create_app(application), listener, until=stop))
        async with httpx.AsyncClient(base_url=address_of(listener), headers=headers, timeout=30) as client:
            await until(lambda: _answers(client))
            yield client
        stop.set()
        await serving


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/")).is_success
    except httpx.ConnectError:
        return False


async def test_a_number_is_connected_by_the_qr_code_that_is_streamed(
    open_sidecar: OpenSidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    states = []
    async with open_sidecar() as made, served(made, platform) as client:
        async with client.stream("POST", "/v1/instances/sales/connect") as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    status = json.loads(line.removeprefix("data: "))
                    states.append(status["state"])
                    if status["qr"]:
                        assert status["qr_svg"].startswith("<svg")
                        await whatsapp.scan(status["qr"])
        shown = (await client.get("/v1/instances/sales/connection")).json()
        gone = (await client.post("/v1/instances/sales/disconnect")).json()

    assert states[0] in {"connecting", "qr"}
    assert states[-1] == "open"
    assert (shown["state"], shown["me"]) == ("open", NUMBER)
    assert gone["state"] == "absent"


async def test_a_code_is_shown_for_a_phone(open_sidecar: OpenSidecar, platform: Platform) -> None:
    async with open_sidecar() as made, served(made, platform) as client:
        order = {"phone": f"+{NUMBER}"}
        async with client.stream("POST", "/v1/instances/sales/connect", json=order) as response:
            async for line in response.aiter_lines():
                code = line.startswith("data: ") and json.loads(line.removeprefix("data: "))["code"]
                if code:
                    break

    assert len(code) == 8


async def test_what_cannot_be_connected_is_refused_with_a_reason(open_sidecar: OpenSidecar, platform: Platform) -> None:
    other = await Organizations(platform.database).create("Other")
    instances = Instances(platform.database)
    await instances.create(organization_id=other.id, id="theirs", gateway="baileys")
    await instances.create(organization_id=platform.organization.id, id="simulated")

    async with open_sidecar() as made, served(made, platform) as client:
        answers = {}
        for path in ("theirs/connect", "nothing/connect", "simulated/connect", "theirs/disconnect"):
            answer = await client.post(f"/v1/instances/{path}", json={})
            answers[path] = (answer.status_code, answer.json()["error"]["code"])
        never = await client.get("/v1/instances/sales/connection")

    assert answers == {
        "theirs/connect": (404, "missing"),
        "nothing/connect": (404, "missing"),
        "simulated/connect": (409, "wrong_state"),
        "theirs/disconnect": (404, "missing"),
    }
    assert (never.status_code, never.json()["error"]["code"]) == (404, "number_unknown")
