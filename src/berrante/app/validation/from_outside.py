"""What the web side answers to those who know something and to those who do not."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from typing import Final

import httpx

from berrante.app.smoke import Stage
from berrante.app.smoke.checking import eventually, expect
from berrante.web.app import create_app

Check = Callable[[Stage, httpx.AsyncClient], Awaitable[str]]


async def _health(_: Stage, client: httpx.AsyncClient) -> str:
    paths = ["", "/live", "/ready", "/redis", "/database", "/queues", "/gateways", "/media"]
    answers = {path: (await client.get(f"/health{path}")).status_code for path in paths}
    bad = [f"/health{path} {status}" for path, status in answers.items() if status != 200]
    expect(not bad, ", ".join(bad))
    return f"{len(paths)} addresses of /health answer 200"


async def _strangers(_: Stage, client: httpx.AsyncClient) -> str:
    for path in ("/v1/messages", "/v1/dead-letters"):
        for headers in ({}, {"X-API-Key": "brt_live_of_nobody_at_all"}):
            status = (await client.get(path, headers=headers)).status_code
            expect(status == 401, f"{path} answered {status} to somebody without a key")
    status = (await client.get("/metrics")).status_code
    expect(status in {401, 404}, f"/metrics answered {status} without its token")
    return "the API answers 401 without a key, /metrics is closed"


async def _webhooks(stage: Stage, client: httpx.AsyncClient) -> str:
    path, body = f"/webhooks/whatsapp/{stage.instance.id}", b'{"object": "whatsapp_business_account", "entry": []}'
    digest = hmac.new(b"another secret", body, hashlib.sha256).hexdigest()
    unsigned = (await client.post(path, content=body)).status_code
    forged = (await client.post(path, content=body, headers={"X-Hub-Signature-256": f"sha256={digest}"})).status_code
    expect((unsigned, forged) == (401, 403), f"unsigned got {unsigned}, forged got {forged}")
    return "a webhook without a signature gets 401, with a forged one 403"


async def _tenants(stage: Stage, client: httpx.AsyncClient) -> str:
    application = stage.application
    stage.write(stage.contact(7), "For this organization alone")
    await eventually(
        lambda: application.messages.list(stage.organization_id, instance_id=stage.instance.id), what="the message"
    )
    other = await application.organizations.create(f"{stage.instance.id} beside")
    try:
        _, own = await application.api_keys.issue(stage.organization_id, "validation")
        _, strange = await application.api_keys.issue(other.id, "validation")
        seen = (await client.get("/v1/messages", headers={"X-API-Key": own})).json()["data"]
        unseen = (await client.get("/v1/messages", headers={"X-API-Key": strange})).json()["data"]
        asked = {"instance_id": stage.instance.id}
        by_id = (await client.get("/v1/messages", params=asked, headers={"X-API-Key": strange})).json()
        expect(seen, "an organization does not see its own message")
        expect(not unseen and not by_id.get("data"), "an organization sees another's message")
    finally:
        await stage.forget(other.id)
    return "an organization's key shows its own messages and nothing of another's"


async def _malformed(stage: Stage, _: httpx.AsyncClient) -> str:
    application = stage.application
    await application.queues.message.add("incoming", {"instanceId": stage.instance.id})
    letters = await eventually(application.queues.dead_letters.list, what="the dead letter")
    reason = str(letters[0].data["failedReason"])
    expect("organizationId" in reason, f"its reason is {reason!r}")
    return "a job without organizationId is a dead letter that names the field"


FROM_OUTSIDE: Final[tuple[tuple[str, Check], ...]] = (
    ("health answers", _health),
    ("strangers are refused", _strangers),
    ("webhooks are signed", _webhooks),
    ("organizations do not see each other", _tenants),
    ("a job of nobody is refused", _malformed),
)


def client_of(stage: Stage) -> httpx.AsyncClient:
    """Return a client of the stage's web side, in this process."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(create_app(stage.application)), base_url="http://validation")
