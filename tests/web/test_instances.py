"""/v1/instances, sending, and conversations."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from berrante.app import Application
from tests.app.process import client_of, settings_for, working
from tests.conftest import OwnServer
from tests.waiting import until
from tests.web.tenants import made, tenant

_SETTINGS = {
    "pace": {"rate": {"max": 1, "per_ms": 6_000}, "burst": 2, "jitter": 0.3},
    "quiet_hours": {"start": "22:00", "end": "08:00", "time_zone": "America/Sao_Paulo"},
    "warm_up": {"started_on": "2026-01-31", "first_day": 20, "growth": 1.5, "days": 14},
}


async def test_an_instance_is_made_changed_paused_and_resumed(application: Application) -> None:
    ours = await tenant(application)
    async with client_of(application) as client:
        client.headers.update(ours.headers)
        answer = await client.post("/v1/instances", json={"id": "new", "gateway": "simulator", "settings": _SETTINGS})
        assert answer.status_code == 201, answer.text
        assert answer.json()["settings"] == {**_SETTINGS, "paused": False}
        changed = await client.patch(
            "/v1/instances/new", json={"display_number": "+551140000000", "settings": {"quiet_hours": None}}
        )
        assert changed.json()["settings"] == {**_SETTINGS, "quiet_hours": None, "paused": False}
        assert (await client.post("/v1/instances/new/pause")).json()["status"] == "paused"
        assert (await client.get("/v1/instances/new")).json()["status"] == "paused"
        assert (await client.post("/v1/instances/new/resume")).json()["status"] == "active"
        listed = (await client.get("/v1/instances")).json()
    assert [each["id"] for each in listed["data"]] == ["new", "sales"]
    assert listed["next"] is None


async def test_secrets_go_in_and_never_come_out(application: Application) -> None:
    ours = await tenant(application)
    body = {
        "id": "cloudy",
        "gateway": "cloud",
        "phone_number_id": "106540352242922",
        "app_secret": "hush-one",
        "verify_token": "hush-two",
    }
    async with client_of(application) as client:
        client.headers.update(ours.headers)
        answers = [
            await client.post("/v1/instances", json=body),
            await client.patch("/v1/instances/cloudy", json={"app_secret": "hush-three"}),
            await client.get("/v1/instances/cloudy"),
            await client.get("/v1/instances"),
        ]
    assert all(answer.is_success and "hush" not in answer.text for answer in answers)
    assert answers[2].json()["webhook"] == {
        "path": "/webhooks/whatsapp/cloudy", "has_app_secret": True, "has_verify_token": True,
    }  # fmt: skip
    found = await application.instances.get("cloudy")
    assert found is not None
    assert (found.app_secret, found.verify_token) == ("hush-three", "hush-two")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"gateway": "pigeon"}, "gateway"),
        ({"gateway": "cloud"}, "phone_number_id"),
        ({"gateway": "simulator", "id": "A:b"}, "id"),
        ({"gateway": "simulator", "settings": {"pace": {"rate": {"max": 0}}}}, "settings.pace.rate.max"),
        (
            {
                "gateway": "simulator",
                "settings": {"quiet_hours": {"start": "22:00", "end": "08:00", "time_zone": "Mars"}},
            },
            "quiet_hours.time_zone",
        ),
        ({"gateway": "simulator", "settings": {"speed": 1}}, "settings.speed"),
    ],
)
async def test_an_instance_that_cannot_be_is_422_and_named(
    application: Application, body: dict[str, Any], field: str
) -> None:
    ours = await tenant(application)
    async with client_of(application) as client:
        answer = await client.post("/v1/instances", json=body, headers=ours.headers)
    assert (answer.status_code, answer.json()["error"].get("field")) == (422, field)


async def test_a_message_is_accepted_sent_and_its_history_read(application: Application) -> None:
    ours = await tenant(application)
    async with client_of(application) as client, working(application):
        client.headers.update(ours.headers)
        body = {"to": "55 11 8765-4321", "type": "text", "text": "Hello"}
        accepted = await client.post("/v1/instances/sales/messages", json=body)
        assert accepted.status_code == 202, accepted.text
        assert accepted.json()["status"] == "queued"
        path = f"/v1/messages/{accepted.json()['id']}"

        async def delivered() -> dict[str, Any] | None:
            found = (await client.get(path)).json()
            return found if found["delivered_at"] else None  # receipts come in any order

        message = await until(delivered)
    assert message["address"] == "+5511987654321"
    statuses = [each["status"] for each in message["statuses"]]
    assert statuses[:3] == ["queued", "sent", "delivered"]
    assert statuses[-1] == message["status"]
    assert message["statuses"][2]["at"] == message["delivered_at"]


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"type": "text", "text": "x", "to": "12"}, "invalid", "to"),
        ({"type": "text", "text": " ", "to": "+5511987654321"}, "invalid", "text"),
        ({"type": "text", "text": "x" * 4_097, "to": "+5511987654321"}, "invalid", "text.text"),
        ({"type": "poem", "to": "+5511987654321"}, "invalid", None),
    ],
)
async def test_a_message_that_cannot_be_sent_is_422_and_says_why(
    application: Application, body: dict[str, Any], code: str, field: str | None
) -> None:
    ours = await tenant(application)
    async with client_of(application) as client:
        answer = await client.post("/v1/instances/sales/messages", json=body, headers=ours.headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error.get("field")) == (422, code, field)
    assert await application.messages.list(ours.id) == []


async def test_a_gateway_that_this_process_lacks_is_503_and_named(application: Application) -> None:
    ours = await tenant(application)
    await application.instances.create(
        organization_id=ours.id, id="c", gateway="cloud", phone_number_id="1", app_secret="x", verify_token="x"
    )
    application.gateways.pop("cloud", None)
    body = {"to": "+5511987654321", "type": "text", "text": "Hello"}
    async with client_of(application) as client:
        answer = await client.post("/v1/instances/c/messages", json=body, headers=ours.headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "gateway_missing")


async def test_a_message_is_accepted_while_redis_is_away(own_valkey: OwnServer, database_url: str, prefix: str) -> None:
    settings = settings_for(redis_url=own_valkey.url, database_url=database_url, prefix=prefix)
    async with Application.open(settings) as application, client_of(application) as client:
        ours = await tenant(application)
        application.outbound._clock = lambda: 1_800_000_000_000  # the application's own asks Redis
        await own_valkey.stop()
        body = {"to": "+5511987654321", "type": "text", "text": "Hello"}
        answer = await client.post("/v1/instances/sales/messages", json=body, headers=ours.headers)
        assert answer.status_code == 202, answer.text
        (message,) = await application.messages.list(ours.id)
        assert (str(message.id), message.status) == (answer.json()["id"], "queued")


async def test_conversations_say_what_is_unread_and_until_when_they_are_open(application: Application) -> None:
    ours = await tenant(application)
    async with client_of(application) as client, working(application):
        client.headers.update(ours.headers)
        for number, text in ((1, "one"), (2, "two"), (1, "three")):
            application.simulator.write(
                organization_id=ours.id, instance_id="sales", sender=f"+551198765432{number}", text=text
            )

            async def stored(text: str = text) -> bool:
                return any(each.content.get("text") == text for each in await application.messages.list(ours.id))

            await until(stored)
        listed = (await client.get("/v1/conversations")).json()["data"]
        assert [(each["address"][-1], each["unread"]) for each in listed] == [("1", 2), ("2", 1)]
        first = listed[0]
        assert (first["last_message"]["content"]["text"], first["last_message"]["direction"]) == ("three", "in")
        until_ = datetime.fromisoformat(first["window_open_until"])
        assert until_ - datetime.fromisoformat(first["wrote_at"]) == timedelta(hours=24)
        page = (await client.get("/v1/conversations", params={"limit": 1})).json()
        rest = (await client.get("/v1/conversations", params={"after": page["next"]})).json()
        assert [each["address"][-1] for each in rest["data"]] == ["2"]
        assert rest["next"] is None
        path = f"/v1/instances/sales/conversations/{first['contact_id']}"
        assert (await client.post(f"{path}/read")).status_code == 204
        assert [each["unread"] for each in (await client.get("/v1/conversations")).json()["data"]] == [0, 1]
        said = (await client.get(f"{path}/messages", params={"limit": 1})).json()
        assert [each["content"]["text"] for each in said["data"]] == ["three"]
        said = (await client.get(f"{path}/messages", params={"before": said["next"]})).json()
        assert [each["content"]["text"] for each in said["data"]] == ["one"]
        application.conversations._clock = lambda: application.connection.now_ms() + 25 * 3_600_000
        assert [each["window_open_until"] for each in (await client.get("/v1/conversations")).json()["data"]] == [
            None,
            None,
        ]


@pytest.mark.parametrize("after", ["x", "%%%", "MjAyNi0wMS0wMS94", "MjAyNi0wMS0wMQ==", "é"])
async def test_a_cursor_that_is_none_is_422(application: Application, after: str) -> None:
    ours = await tenant(application)
    async with client_of(application) as client:
        answer = await client.get("/v1/conversations", params={"after": after}, headers=ours.headers)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "after")


async def test_another_organizations_numbers_and_messages_are_404(application: Application) -> None:
    ours, theirs = await tenant(application, "ours"), await tenant(application, "theirs")
    text = {"to": "+5511987654321", "type": "text", "text": "x"}
    message_id = await application.outbound.send(
        organization_id=theirs.id, instance_id="theirs", to="+5511987654321", text="private"
    )
    async with client_of(application) as client:
        await made(client, ours)
        client.headers.update(ours.headers)
        for instance_id in ("theirs", "nobody", "a:b", "x" * 100):
            path = f"/v1/instances/{instance_id}"
            answers = await asyncio.gather(
                client.get(path),
                client.patch(path, json={"display_number": "x"}),
                client.post(f"{path}/pause"),
                client.post(f"{path}/resume"),
                client.post(f"{path}/messages", json=text),
                client.get(f"{path}/conversations/{uuid4()}/messages"),
            )
            assert [answer.status_code for answer in answers] == [404] * 6
        for path in (f"/v1/messages/{message_id}", f"/v1/messages/{uuid4()}"):
            assert (await client.get(path)).status_code == 404
        assert (await client.get("/v1/conversations")).json()["data"] == []
        assert [each["id"] for each in (await client.get("/v1/instances")).json()["data"]] == ["ours"]
        taken = await client.post("/v1/instances", json={"id": "theirs", "gateway": "simulator"})
        assert taken.status_code == 409
    found = await application.instances.get("theirs")
    assert found is not None
    assert not found.configuration.paused


async def test_the_document_shows_every_error_and_an_example_of_each_body(application: Application) -> None:
    async with client_of(application) as client:
        document = (await client.get("/openapi.json")).json()
    for path, methods in document["paths"].items():
        if not path.startswith("/v1/"):
            continue
        for method, route in methods.items():
            assert {"401", "404", "422"} <= set(route["responses"]), (method, path)
            assert route["summary"], (method, path)
            assert route.get("description"), (method, path)
    shown = document["paths"]["/v1/instances/{instance_id}/messages"]["post"]["requestBody"]["content"]
    assert shown["application/json"]["examples"]["text"]["value"]["type"] == "text"
    kinds = shown["application/json"]["schema"]["discriminator"]["mapping"]
    assert set(kinds) == {"text", "media", "template", "buttons", "list", "location", "contacts"}
