"""/v1/campaigns, end to end in one process."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from berrante.app import Application
from tests.app.process import client_of, working
from tests.waiting import until

DRAFT = {
    "name": "Launch",
    "instance_id": "shop",
    "text": "Oi {{ name | default: 'você' }}",
    "recipients": ["+5511999990001"],
}


async def tenant(application: Application, instance_id: str) -> dict[str, str]:
    organization = await application.organizations.create(f"Org of {instance_id}")
    await application.instances.create(organization_id=organization.id, id=instance_id)
    _, secret = await application.api_keys.issue(organization.id, "test")
    return {"Authorization": f"Bearer {secret}"}


async def draft(client: httpx.AsyncClient, headers: dict[str, str], **changes: Any) -> dict[str, Any]:
    answer = await client.post("/v1/campaigns", json=DRAFT | changes, headers=headers)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_campaign_is_made_looked_at_run_and_accounted_for(application: Application) -> None:
    headers = await tenant(application, "shop")
    numbers = [f"+55119999900{number:02}" for number in range(12)]
    async with client_of(application) as client, working(application):
        made = await draft(client, headers, recipients=[*numbers, numbers[0]], pace={"per_minute": 60_000})
        path = f"/v1/campaigns/{made['id']}"
        assert (made["status"], made["legal"]) == ("draft", ["schedule", "start", "cancel"])

        preview = await client.post(f"{path}/preview", json={"phone": numbers[0]}, headers=headers)
        assert preview.json() == {"variant": "A", "content": {"type": "text", "text": "Oi você"}}
        audience = (await client.get(f"{path}/audience", headers=headers)).json()
        assert audience == {"planned": 12, "excluded": {"duplicate": 1}, "lacking": {}}
        played = (await client.post(f"{path}/rehearse", headers=headers)).json()
        assert (played["recipients"], sum(played["per_hour"].values()), played["excluded"]) == (
            12,
            12,
            {"duplicate": 1},
        )
        test = await client.post(f"{path}/test", json={"to": "+5511999999999"}, headers=headers)
        assert test.status_code == 202

        assert (await client.post(f"{path}/start", headers=headers)).json()["status"] == "running"

        async def finished() -> dict[str, Any] | None:
            found: dict[str, Any] = (await client.get(path, headers=headers)).json()
            return found if found["status"] == "finished" else None

        found = await until(finished, timeout_s=30)
        assert found is not None
        assert (found["progress"]["planned"], found["progress"]["open"]) == (12, 0)
        ledger = (await client.get(f"{path}/ledger", headers=headers)).json()
        assert (ledger["planned"], ledger["sent"], ledger["is_clean"]) == (12, 12, True)

        async def all_delivered() -> bool:
            counted = (await client.get(f"{path}/progress", headers=headers)).json()
            return bool(counted["planned"] == counted["delivered"] + counted["read"] == 12)

        await until(all_delivered, timeout_s=30)  # receipts come after its end too
        first = (await client.get(f"{path}/recipients", params={"limit": 8}, headers=headers)).json()
        rest = (await client.get(f"{path}/recipients", params={"after": first["next"]}, headers=headers)).json()
        assert [each["address"] for each in [*first["data"], *rest["data"]]] == [*numbers, numbers[0]]
        excluded = (await client.get(f"{path}/recipients", params={"status": "excluded"}, headers=headers)).json()
        assert [each["reason"] for each in excluded["data"]] == ["duplicate"]
    seen = [application.simulator.ledger["shop", number] for number in numbers]
    assert [[each.body for each in one] for one in seen] == [["Oi você"]] * 12


async def test_an_illegal_move_is_409_with_the_legal_ones(application: Application) -> None:
    headers = await tenant(application, "shop")
    async with client_of(application) as client:
        made = await draft(client, headers)
        path = f"/v1/campaigns/{made['id']}"
        answer = await client.post(f"{path}/resume", headers=headers)
        assert answer.status_code == 409
        assert answer.json()["error"]["details"] == {
            "status": "draft",
            "move": "resume",
            "legal": ["schedule", "start", "cancel"],
        }
        for _ in range(2):
            assert (await client.post(f"{path}/start", headers=headers)).status_code == 200
        for _ in range(2):
            assert (await client.post(f"{path}/pause", headers=headers)).json()["status"] == "paused"
        changed = await client.patch(path, json={"text": "Olá", "pace": {"per_minute": 5}}, headers=headers)
        assert changed.json()["content"]["variants"][0]["text"] == "Olá"
        copy = (await client.post(f"{path}/duplicate", headers=headers)).json()
        assert (copy["status"], copy["content"]) == ("draft", changed.json()["content"])
        kept = await client.delete(path, headers=headers)
        assert (kept.status_code, kept.json()["error"]["code"]) == (409, "wrong_state")
        assert "is paused, and has to be draft to be deleted" in kept.json()["error"]["message"]
        assert (await client.delete(f"/v1/campaigns/{copy['id']}", headers=headers)).status_code == 204
        assert (await client.post(f"{path}/cancel", headers=headers)).json()["legal"] == []
        assert (await client.patch(path, json={"text": "Olá"}, headers=headers)).status_code == 409


@pytest.mark.parametrize(
    ("change", "field", "details"),
    [
        ({"text": "Oi\n{{ nme }}"}, "content.variants[0].text", {"line": 2, "column": 4}),
        ({"recipients": None, "segment": "vip"}, "segment", {"position": 1}),
        ({"recipients": ["abc"]}, "recipients[0]", {}),
        ({"pace": {"zone": "Mars"}}, "pace.zone", {}),
        ({"text": None}, "text", {}),
        ({"name": " "}, "name", {}),
    ],
)
async def test_what_is_malformed_is_422_and_says_where(
    application: Application, change: dict[str, Any], field: str, details: dict[str, int]
) -> None:
    headers = await tenant(application, "shop")
    async with client_of(application) as client:
        answer = await client.post("/v1/campaigns", json=DRAFT | change, headers=headers)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["field"] == field
    assert details.items() <= error.get("details", {}).items()


async def test_another_tenants_campaign_is_404_by_every_route(application: Application) -> None:
    headers = await tenant(application, "shop")
    others = await tenant(application, "theirs")
    async with client_of(application) as client:
        made = await draft(client, headers)
        for campaign_id in (made["id"], uuid4()):
            path = f"/v1/campaigns/{campaign_id}"
            calls: list[tuple[str, str, dict[str, Any] | None]] = [
                ("GET", "", None),
                ("PATCH", "", {"name": "x"}),
                ("DELETE", "", None),
                ("POST", "/schedule", {"start_at": "2999-01-01T00:00:00Z"}),
                *(("POST", f"/{move}", None) for move in ("start", "pause", "resume", "cancel", "retry", "duplicate")),
                ("POST", "/test", {"to": "+5511999999999"}),
                ("POST", "/preview", {"phone": "+5511999999999"}),
                ("POST", "/rehearse", None),
                *(("GET", f"/{what}", None) for what in ("audience", "recipients", "progress", "ledger")),
            ]
            for method, rest, body in calls:
                answer = await client.request(method, path + rest, json=body, headers=others)
                assert answer.status_code == 404, (method, rest, answer.text)
        assert (await client.get("/v1/campaigns", headers=others)).json() == {"data": [], "next": None}
        answer = await client.post("/v1/campaigns", json=DRAFT, headers=others)  # with a number of the first
        assert answer.status_code == 404
