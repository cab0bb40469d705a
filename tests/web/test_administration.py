"""Organizations, people, keys and the audit log over /v1: who may do what, and what is written down of it."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, select, update

from berrante.app import Application
from berrante.messaging.api_keys.models import api_keys
from berrante.messaging.people import ROLE_SCOPES, SCOPES, Role
from tests.app.process import client_of
from tests.web.access import error, headers_of, owner_headers, person, tenant


async def test_a_key_is_shown_once_and_does_what_its_scopes_say(application: Application) -> None:
    acme = await tenant(application)
    async with client_of(application) as client:
        given = {"name": "Shop", "scopes": ["messages.read"], "expires_at": None}
        made = await client.post("/v1/api-keys", json=given, headers=acme.headers)
        assert made.status_code == 201
        secret = made.json()["secret"]
        assert secret.startswith("brt_live_")
        shown = await client.get(f"/v1/api-keys/{made.json()['id']}", headers=acme.headers)
        assert "secret" not in shown.json()
        assert secret not in shown.text

        headers = {"X-API-Key": secret}
        assert (await client.get("/v1/messages", headers=headers)).status_code == 200
        refused = await client.get("/v1/api-keys", headers=headers)
        assert error(refused) == (403, "scope_missing")
        assert refused.json()["error"]["details"] == {"scope": "api_keys.read"}

        gone = await client.delete(f"/v1/api-keys/{made.json()['id']}", headers=acme.headers)
        assert gone.status_code == 204
        assert (await client.get("/v1/messages", headers=headers)).status_code == 401
        again = await client.delete(f"/v1/api-keys/{made.json()['id']}", headers=acme.headers)
        assert error(again) == (404, "missing")


async def test_nobody_makes_or_changes_a_key_that_can_do_more_than_themselves(application: Application) -> None:
    acme = await tenant(application)
    weak = frozenset({"api_keys.read", "api_keys.write", "messages.read"})
    _, secret = await application.api_keys.issue(acme.organization_id, "weak", scopes=weak)
    headers = {"X-API-Key": secret}
    async with client_of(application) as client:
        more = {"name": "more", "scopes": ["messages.write"]}
        assert error(await client.post("/v1/api-keys", json=more, headers=headers)) == (403, "forbidden")
        strong = f"/v1/api-keys/{acme.key_id}"
        assert error(await client.patch(strong, json={"name": "mine"}, headers=headers)) == (403, "forbidden")
        assert error(await client.delete(strong, headers=headers)) == (403, "forbidden")
        same = {"name": "same", "scopes": ["messages.read"]}
        assert (await client.post("/v1/api-keys", json=same, headers=headers)).status_code == 201
    assert (await application.api_keys.verify(acme.secret)) is not None


async def test_a_key_opens_nothing_from_elsewhere_or_after_its_time(application: Application) -> None:
    acme = await tenant(application)
    async with client_of(application) as client:
        path = f"/v1/api-keys/{acme.key_id}"
        _, other = await application.api_keys.issue(acme.organization_id, "other", scopes=SCOPES)
        keeper = {"X-API-Key": other}
        for networks, status in ((["203.0.113.0/24"], 403), (["203.0.113.9", "127.0.0.0/8"], 200), ([], 200)):
            changed = await client.patch(path, json={"allowed_ips": networks}, headers=keeper)
            assert changed.status_code == 200
            assert (await client.get("/v1/messages", headers=acme.headers)).status_code == status

        soon = datetime.now(UTC) + timedelta(hours=1)
        assert (await client.patch(path, json={"expires_at": soon.isoformat()}, headers=keeper)).status_code == 200
        assert (await client.get("/v1/messages", headers=acme.headers)).status_code == 200
        async with application.database.begin() as connection:
            past = update(api_keys).where(api_keys.c.id == acme.key_id)
            await connection.execute(past.values(expires_at=func.now() - timedelta(seconds=1)))
        assert (await client.get("/v1/messages", headers=acme.headers)).status_code == 401
        # Left out it stays, null takes it away.
        assert (await client.patch(path, json={"name": "x"}, headers=keeper)).json()["expires_at"] is not None
        assert (await client.patch(path, json={"expires_at": None}, headers=keeper)).json()["expires_at"] is None
        assert (await client.get("/v1/messages", headers=acme.headers)).status_code == 200


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"scopes": ["messages.read", "everything"]}, "scopes"),
        ({"scopes": []}, "scopes"),
        ({"allowed_ips": ["10.0.0.1", "here"]}, "allowed_ips[1]"),
        ({"allowed_ips": ["10.0.0.1/8"]}, "allowed_ips[0]"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"name": " "}, "name"),
        ({"name": "a\0b"}, "name"),
    ],
)
async def test_what_a_key_cannot_be_is_said_with_its_field(
    application: Application, given: dict[str, object], field: str
) -> None:
    acme = await tenant(application)
    async with client_of(application) as client:
        body = {"name": "Shop", "scopes": ["messages.read"]} | given
        answer = await client.post("/v1/api-keys", json=body, headers=acme.headers)
    assert error(answer) == (422, "invalid")
    assert answer.json()["error"]["violations"][0]["field"] == field


async def test_the_use_of_a_key_is_written_at_most_once_a_minute(application: Application) -> None:
    acme = await tenant(application)

    async def last_used() -> datetime | None:
        key = await application.api_keys.get(acme.organization_id, acme.key_id)
        assert key is not None
        return key.last_used_at

    assert await last_used() is None
    await asyncio.gather(*(application.api_keys.verify(acme.secret) for _ in range(5)))
    first = await last_used()
    assert first is not None
    await application.api_keys.verify(acme.secret)
    assert await last_used() == first
    async with application.database.begin() as connection:
        await connection.execute(update(api_keys).values(last_used_at=first - timedelta(minutes=2)))
    await application.api_keys.verify(acme.secret)
    assert await last_used() >= first


async def test_each_role_can_do_what_the_table_says(application: Application) -> None:
    acme = await tenant(application)
    wants = {
        "messages.read": ("GET", "/v1/messages"),
        "api_keys.read": ("GET", "/v1/api-keys"),
        "people.read": ("GET", "/v1/people"),
        "people.write": ("DELETE", f"/v1/people/{uuid4()}"),
        "audit_log.read": ("GET", "/v1/audit-log"),
        "quotas.read": ("GET", "/v1/quotas"),
    }
    async with client_of(application) as client:
        for role in Role:
            await person(application, acme.organization_id, role, f"{role}@example.com")
            headers = await headers_of(client, f"{role}@example.com")
            answers = {scope: await client.request(*wanted, headers=headers) for scope, wanted in wants.items()}
            allowed = {scope for scope, answer in answers.items() if answer.status_code in {200, 404}}
            assert allowed == wants.keys() & ROLE_SCOPES[role], role
            assert {answer.status_code for answer in answers.values()} <= {200, 403, 404}
            assert error(await client.get("/v1/organizations", headers=headers)) == (403, "forbidden")


async def test_people_are_made_changed_and_removed(application: Application) -> None:
    acme = await tenant(application)
    async with client_of(application) as client:
        given = {"email": "Bia@Example.com", "name": "Bia", "role": "agent"}
        made = await client.post("/v1/people", json=given, headers=acme.headers)
        assert made.status_code == 201
        password = made.json()["password"]
        log_in = {"email": "bia@example.com", "password": password}
        assert (await client.post("/auth/login", json=log_in)).status_code == 200
        assert error(await client.post("/v1/people", json=given, headers=acme.headers)) == (409, "taken")

        path = f"/v1/people/{made.json()['id']}"
        changed = await client.patch(path, json={"role": "viewer", "name": "Beatriz"}, headers=acme.headers)
        assert (changed.json()["role"], changed.json()["name"]) == ("viewer", "Beatriz")
        reset = await client.post(f"{path}/reset-password", headers=acme.headers)
        assert (await client.post("/auth/login", json=log_in)).status_code == 401
        assert (await client.post("/auth/login", json=log_in | reset.json())).status_code == 200
        listed = (await client.get("/v1/people", headers=acme.headers)).json()
        assert [each["email"] for each in listed["data"]] == ["bia@example.com"]
        assert (await client.delete(path, headers=acme.headers)).status_code == 204
        assert error(await client.get(path, headers=acme.headers)) == (404, "missing")
        refused = await client.post("/v1/people", json=given | {"role": "root"}, headers=acme.headers)
        assert error(refused) == (422, "invalid")


async def test_the_last_admin_stays_also_when_two_remove_each_other(application: Application) -> None:
    acme = await tenant(application)
    async with client_of(application) as client:
        ana = await person(application, acme.organization_id, Role.ADMIN, "ana@example.com")
        for body in ({"role": "agent"}, {"disabled": True}):
            kept = await client.patch(f"/v1/people/{ana.id}", json=body, headers=acme.headers)
            assert error(kept) == (409, "wrong_state")
        assert error(await client.delete(f"/v1/people/{ana.id}", headers=acme.headers)) == (409, "wrong_state")
        bia = await person(application, acme.organization_id, Role.ADMIN, "bia@example.com")
        answers = await asyncio.gather(
            *(client.delete(f"/v1/people/{each.id}", headers=acme.headers) for each in (ana, bia))
        )
        assert sorted(answer.status_code for answer in answers) == [204, 409]


async def test_who_cannot_do_everything_makes_no_admin(application: Application) -> None:
    acme = await tenant(application)
    weak = ROLE_SCOPES[Role.AGENT] | {"people.read", "people.write"}
    _, secret = await application.api_keys.issue(acme.organization_id, "weak", scopes=weak)
    ana = await person(application, acme.organization_id, Role.ADMIN, "ana@example.com")
    headers = {"X-API-Key": secret}
    async with client_of(application) as client:
        new = {"email": "eve@example.com", "role": "admin"}
        assert error(await client.post("/v1/people", json=new, headers=headers)) == (403, "forbidden")
        made = await client.post("/v1/people", json=new | {"role": "agent"}, headers=headers)
        path = f"/v1/people/{made.json()['id']}"
        assert error(await client.patch(path, json={"role": "admin"}, headers=headers)) == (403, "forbidden")
        for method, path in (("POST", f"/v1/people/{ana.id}/reset-password"), ("DELETE", f"/v1/people/{ana.id}")):
            assert error(await client.request(method, path, headers=headers)) == (403, "forbidden")


async def test_the_owner_makes_organizations_and_acts_in_them(application: Application) -> None:
    async with client_of(application) as client:
        headers = await owner_headers(application, client)
        given = {"name": "Acme", "quota": {"messages_per_day": 5}}
        made = await client.post("/v1/organizations", json=given, headers=headers)
        assert made.status_code == 201
        organization = made.json()
        assert organization["quota"] == {
            "messages_per_day": 5, "campaigns_running": None, "contacts": None, "requests_per_minute": None,
        }  # fmt: skip
        path = f"/v1/organizations/{organization['id']}"
        assert (await client.patch(path, json={"name": "Acme & Co"}, headers=headers)).json()["name"] == "Acme & Co"
        assert (await client.get(path, headers=headers)).json()["quota"]["messages_per_day"] == 5
        assert error(await client.get(f"/v1/organizations/{uuid4()}", headers=headers)) == (404, "missing")

        inside = headers | {"X-Organization-Id": organization["id"]}
        first = await client.post("/v1/people", json={"email": "a@example.com", "role": "admin"}, headers=inside)
        assert first.status_code == 201
        pages = [await client.get("/v1/organizations", params={"limit": 1}, headers=headers)]
        assert pages[0].json()["next"] is None
        acts = (await client.get("/v1/audit-log", headers=inside)).json()["data"]
    assert [act["action"] for act in acts] == [
        "person.created", "organization.updated", "quota.updated", "organization.created",
    ]  # fmt: skip
    assert {act["actor"]["name"] for act in acts} == {"root@example.com"}


async def test_the_audit_log_says_who_what_from_where_before_and_after(application: Application) -> None:
    acme = await tenant(application)
    other = await tenant(application, "Other")
    async with client_of(application) as client:
        path = f"/v1/api-keys/{acme.key_id}"
        headers = acme.headers | {"User-Agent": "curl/8", "X-Request-Id": "mine-7"}
        await client.patch(path, json={"name": "renamed"}, headers=headers)
        acts = (await client.get("/v1/audit-log", params={"action": "api_key.updated"}, headers=acme.headers)).json()
        assert acts["next"] is None
        (act,) = acts["data"]
        assert act["actor"]["kind"] == "key"
        assert act["actor"]["id"] == str(acme.key_id)
        assert (act["actor"]["address"], act["actor"]["user_agent"]) == ("127.0.0.1", "curl/8")
        assert (act["subject_kind"], act["subject_id"], act["request_id"]) == ("api_key", str(acme.key_id), "mine-7")
        assert (act["before"]["name"], act["after"]["name"]) == ("all", "renamed")
        everything = (await client.get("/v1/audit-log", headers=acme.headers)).text
        assert acme.secret not in everything
        assert "sha256" not in everything
        theirs = (await client.get("/v1/audit-log", headers=other.headers)).json()["data"]
        assert str(acme.key_id) not in str(theirs)
        page = (await client.get("/v1/audit-log", params={"limit": 1}, headers=acme.headers)).json()
        rest = (await client.get("/v1/audit-log", params={"after": page["next"]}, headers=acme.headers)).json()
        assert [each["action"] for each in page["data"] + rest["data"]] == [
            "api_key.updated", "api_key.created", "organization.created",
        ]  # fmt: skip


async def test_what_does_not_happen_is_not_in_the_audit_log(application: Application) -> None:
    acme = await tenant(application)
    ana = await person(application, acme.organization_id, Role.ADMIN, "ana@example.com")
    before = len(await application.audit_log.list(acme.organization_id))
    async with client_of(application) as client:
        refused = await client.delete(f"/v1/people/{ana.id}", headers=acme.headers)
    assert refused.status_code == 409
    assert len(await application.audit_log.list(acme.organization_id)) == before


async def test_nobody_rewrites_the_audit_log_from_the_web_side(application: Application) -> None:
    from sqlalchemy import delete  # noqa: PLC0415
    from sqlalchemy.exc import ProgrammingError  # noqa: PLC0415

    from berrante.messaging.audit.models import audit_log  # noqa: PLC0415

    acme = await tenant(application)
    for statement in (delete(audit_log), update(audit_log).values(action="nothing")):
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with application.database.tenant(acme.organization_id) as connection:
                await connection.execute(statement)
    async with application.database.tenant(acme.organization_id) as connection:
        assert (await connection.execute(select(func.count()).select_from(audit_log))).scalar_one() == 2
