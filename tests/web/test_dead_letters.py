"""/v1/dead-letters: an organization's own letters, and nobody else's."""

from typing import Any

import pytest

from berrante.app import Application
from tests.app.process import client_of


async def _tenant(application: Application, name: str) -> tuple[str, dict[str, str]]:
    organization = await application.organizations.create(name)
    _, secret = await application.api_keys.issue(organization.id, "test")
    return str(organization.id), {"X-API-Key": secret}


async def _letter(application: Application, organization_id: str, job_id: str, **told: Any) -> str:
    data = {
        "queue": "outbound",
        "jobId": job_id,
        "name": "send",
        "data": {"organizationId": organization_id, "instanceId": "sales"},
        "opts": {"attempts": 4},
        "failedReason": "slow down",
        "stacktrace": ["Traceback: /srv/secret/path"],
        "error": {"type": "SendError", "code": "130429", "scope": "number"},
        "attemptsMade": 4,
        "failedAt": 1_700_000_000_000,
    } | told
    return (await application.queues.dead_letters.queue.add("send", data)).id


async def test_letters_are_listed_read_put_back_and_discarded(application: Application) -> None:
    organization, headers = await _tenant(application, "One")
    ids = [await _letter(application, organization, f"send/{number}") for number in range(3)]
    async with client_of(application) as client:
        client.headers.update(headers)
        page = (await client.get("/v1/dead-letters", params={"limit": 2})).json()
        rest = (await client.get("/v1/dead-letters", params={"after": page["next"]})).json()
        assert [each["id"] for each in page["data"] + rest["data"]] == ids[::-1]
        assert rest["next"] is None
        one = (await client.get(f"/v1/dead-letters/{ids[0]}")).json()
        assert one["cause"] == {
            "queue": "outbound", "code": "130429", "scope": "number", "template": None, "number": "sales",
        }  # fmt: skip
        assert (one["failed_at"], one["job_id"], one["reason"]) == ("2023-11-14T22:13:20Z", "send/0", "slow down")
        assert "secret" not in str(one)
        back = await client.post(f"/v1/dead-letters/{ids[0]}/retry")
        assert (back.status_code, back.json()["queue"]) == (200, "outbound")
        assert await application.queues.outbound.get(back.json()["job_id"]) is not None
        assert (await client.post(f"/v1/dead-letters/{ids[0]}/retry")).json() == back.json()
        assert (await client.get(f"/v1/dead-letters/{ids[0]}")).json()["retried_as"] == back.json()["job_id"]
        assert (await client.delete(f"/v1/dead-letters/{ids[0]}")).status_code == 409
        assert (await client.delete(f"/v1/dead-letters/{ids[1]}")).status_code == 204
        assert (await client.delete(f"/v1/dead-letters/{ids[1]}")).status_code == 404


async def test_a_group_is_counted_and_drained_by_one_request(application: Application) -> None:
    organization, headers = await _tenant(application, "One")
    for number in range(5):
        await _letter(application, organization, f"a-{number}")
    await _letter(application, organization, "b", queue="message", error=None, failedReason="no such instance: 'x1'")
    async with client_of(application) as client:
        client.headers.update(headers)
        groups = (await client.get("/v1/dead-letters/groups")).json()
        assert [(group["count"], group["cause"]["queue"]) for group in groups["data"]] == [
            (5, "outbound"),
            (1, "message"),
        ]
        assert "Restore the number" in groups["data"][0]["remedy"]
        assert "Make the instance" in groups["data"][1]["remedy"]
        done = await client.post("/v1/dead-letters/retry", json={"group": groups["data"][0]["id"]})
        assert done.json() == {"done": 5, "passed_over": 0}
        assert (await client.post("/v1/dead-letters/discard", json={"all": True})).json()["done"] == 1
        assert (await client.get("/v1/dead-letters/groups")).json() == {"data": [], "left_out": 0}


@pytest.mark.parametrize("wanted", [{}, {"all": False}, {"grup": "x"}, {"all": True, "group": ""}])
async def test_an_action_on_many_has_to_say_which(application: Application, wanted: dict[str, Any]) -> None:
    _, headers = await _tenant(application, "One")
    async with client_of(application) as client:
        for action in ("retry", "discard"):
            answer = await client.post(f"/v1/dead-letters/{action}", json=wanted, headers=headers)
            assert answer.status_code == 422
            assert answer.json()["error"]["code"] == "invalid"


async def test_another_organizations_letters_are_not_there(application: Application) -> None:
    owner, _ = await _tenant(application, "Owner")
    _, headers = await _tenant(application, "Nosy")
    letter = await _letter(application, owner, "private")
    group = (await application.triage.get(letter)).cause.id
    async with client_of(application) as client:
        client.headers.update(headers)
        assert (await client.get("/v1/dead-letters")).json() == {"data": [], "next": None}
        assert (await client.get("/v1/dead-letters/groups")).json()["data"] == []
        asked = [
            await client.get(f"/v1/dead-letters/{letter}"),
            await client.post(f"/v1/dead-letters/{letter}/retry"),
            await client.delete(f"/v1/dead-letters/{letter}"),
        ]
        assert [answer.status_code for answer in asked] == [404] * 3
        for action in ("retry", "discard"):
            for wanted in ({"all": True}, {"group": group}):
                assert (await client.post(f"/v1/dead-letters/{action}", json=wanted)).json()["done"] == 0
    assert await application.queues.dead_letters.count() == 1


async def test_without_a_key_it_is_401(application: Application) -> None:
    async with client_of(application) as client:
        for path in ("", "/groups", "/some-letter"):
            assert (await client.get(f"/v1/dead-letters{path}")).status_code == 401
