"""/v1/webhooks over HTTP: made, changed, tested, rotated, replayed; and another's is not there."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from berrante.app import Application
from berrante.settings import Settings, WebhooksSettings
from tests.app.process import client_of, working
from tests.messaging.receiver import receiving
from tests.waiting import until

HOOKS = "/v1/webhooks"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"webhooks": WebhooksSettings(allow_loopback=True)})


@dataclass
class Tenant:
    client: httpx.AsyncClient
    headers: dict[str, str]

    async def ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        return await self.client.request(method, path, headers=self.headers, **how)

    async def make(self, url: str = "http://127.0.0.1:9/x", events: tuple[str, ...] = ("*",)) -> dict[str, Any]:
        answer = await self.ask("POST", HOOKS, json={"url": url, "events": list(events)})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made


@pytest_asyncio.fixture
async def tenants(application: Application) -> AsyncIterator[tuple[Tenant, Tenant]]:
    async with client_of(application) as client:
        both = []
        for name in ("One", "Two"):
            organization = await application.organizations.create(name)
            _, secret = await application.api_keys.issue(organization.id, "test")
            both.append(Tenant(client, {"X-API-Key": secret}))
        yield both[0], both[1]


async def test_the_secret_is_shown_when_it_is_made_and_never_again(tenants: tuple[Tenant, Tenant]) -> None:
    tenant, _ = tenants
    answer = await tenant.ask("POST", HOOKS, json={"url": "http://127.0.0.1:9/", "events": ["message.*"]})
    made = answer.json()
    assert answer.headers["Cache-Control"] == "no-store"
    assert made["secret"].startswith("brt_whsec_")
    assert (made["enabled"], made["events"]) == (True, ["message.*"])
    for path in (HOOKS, f"{HOOKS}/{made['id']}"):
        assert made["secret"] not in (await tenant.ask("GET", path)).text
    rotated = (await tenant.ask("POST", f"{HOOKS}/{made['id']}/rotate-secret", json={})).json()
    assert rotated["secret"] != made["secret"]
    assert rotated["previous_secret_until"] is not None


async def test_endpoints_are_listed_newest_first_page_by_page(tenants: tuple[Tenant, Tenant]) -> None:
    tenant, other = tenants
    await other.make()
    made = [(await tenant.make())["id"] for _ in range(3)]
    first = (await tenant.ask("GET", HOOKS, params={"limit": 2})).json()
    rest = (await tenant.ask("GET", HOOKS, params={"limit": 2, "before": first["next"]})).json()
    assert [each["id"] for each in [*first["data"], *rest["data"]]] == made[::-1]
    assert rest["next"] is None


async def test_a_test_is_delivered_logged_and_replayed(
    application: Application, tenants: tuple[Tenant, Tenant]
) -> None:
    tenant, _ = tenants
    async with receiving() as receiver, working(application):
        hook = f"{HOOKS}/{(await tenant.make(receiver.url, ('campaign.*',)))['id']}"
        tested = await tenant.ask("POST", f"{hook}/test")
        assert tested.status_code == 202
        path = f"{hook}/deliveries/{tested.json()['delivery_id']}"

        async def delivered() -> bool:
            return (await tenant.ask("GET", path)).json()["status"] == "delivered"

        await until(delivered)
        shown = (await tenant.ask("GET", path)).json()
        assert shown["body"].encode() == receiver.requests[0].body
        assert (shown["answer"]["status"], shown["answer"]["body"], shown["due_at"]) == (200, "ok", None)
        replayed = await tenant.ask("POST", f"{path}/replay")
        assert (replayed.status_code, replayed.json()["status"], replayed.json()["replays"]) == (202, "pending", 1)
        await until(lambda: len(receiver.requests) == 2)
        await until(delivered)
        listed = (await tenant.ask("GET", f"{hook}/deliveries", params={"status": "delivered"})).json()
        none = (await tenant.ask("GET", f"{hook}/deliveries", params={"status": "failed"})).json()
    assert [each["event"] for each in listed["data"]] == ["webhook.test"]
    assert none == {"data": [], "next": None}


async def test_an_endpoint_is_changed_disabled_enabled_and_deleted(tenants: tuple[Tenant, Tenant]) -> None:
    tenant, _ = tenants
    hook = f"{HOOKS}/{(await tenant.make())['id']}"
    changed = (await tenant.ask("PATCH", hook, json={"events": ["campaign.*"], "description": "ERP"})).json()
    assert (changed["events"], changed["description"]) == (["campaign.*"], "ERP")
    off = (await tenant.ask("PATCH", hook, json={"enabled": False})).json()
    assert (off["enabled"], off["disabled_reason"], off["events"]) == (False, "disabled by hand", ["campaign.*"])
    refused = await tenant.ask("POST", f"{hook}/test")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "wrong_state")
    assert (await tenant.ask("PATCH", hook, json={"enabled": True})).json()["enabled"] is True
    assert (await tenant.ask("DELETE", hook)).status_code == 204
    assert (await tenant.ask("GET", hook)).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": "http://10.0.0.1/", "events": ["*"]}, "url"),
        ({"url": "https://169.254.169.254/", "events": ["*"]}, "url"),
        ({"url": "ftp://example.com/", "events": ["*"]}, "url"),
        ({"url": "https://example.com/", "events": []}, "events"),
        ({"url": "https://example.com/", "events": ["message.eaten"]}, "events"),
        ({"url": "https://example.com/", "events": ["*"], "description": "a\nb"}, "description"),
        ({"url": "https://example.com/", "events": ["*"], "secret": "mine"}, "secret"),
        ({"events": ["*"]}, "url"),
    ],
)
async def test_what_cannot_be_an_endpoint_is_422_and_named(
    tenants: tuple[Tenant, Tenant], body: dict[str, Any], field: str
) -> None:
    answer = await tenants[0].ask("POST", HOOKS, json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == field


async def test_another_organizations_endpoint_is_not_there(tenants: tuple[Tenant, Tenant]) -> None:
    tenant, stranger = tenants
    made = await tenant.make()
    hook = f"{HOOKS}/{made['id']}"
    delivery = (await tenant.ask("POST", f"{hook}/test")).json()["delivery_id"]
    own = f"{HOOKS}/{(await stranger.make())['id']}"
    tries = [
        ("GET", hook, None),
        ("PATCH", hook, {"enabled": False}),
        ("DELETE", hook, None),
        ("POST", f"{hook}/rotate-secret", {}),
        ("POST", f"{hook}/test", None),
        ("GET", f"{hook}/deliveries", None),
        ("GET", f"{hook}/deliveries/{delivery}", None),
        ("GET", f"{own}/deliveries/{delivery}", None),
        ("POST", f"{hook}/deliveries/{delivery}/replay", None),
        ("POST", f"{own}/deliveries/{delivery}/replay", None),
        ("GET", f"{HOOKS}/{uuid4()}", None),
    ]
    for method, path, body in tries:
        answer = await stranger.ask(method, path, json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "missing"), (method, path)
    assert (await tenant.ask("GET", hook)).json() == {k: v for k, v in made.items() if k != "secret"}


async def test_every_route_needs_a_key(tenants: tuple[Tenant, Tenant]) -> None:
    nobody = Tenant(tenants[0].client, {})
    hook = f"{HOOKS}/{uuid4()}"
    for method, path in (("GET", HOOKS), ("POST", HOOKS), ("GET", hook), ("GET", f"{hook}/deliveries")):
        assert (await nobody.ask(method, path)).status_code == 401


async def test_without_the_setting_this_machine_is_no_place_for_webhooks(
    application: Application, tenants: tuple[Tenant, Tenant]
) -> None:
    application.endpoints._allow_loopback = False
    answer = await tenants[0].ask("POST", HOOKS, json={"url": "https://127.0.0.1/", "events": ["*"]})
    assert answer.status_code == 422
    assert Settings().webhooks.allow_loopback is False
