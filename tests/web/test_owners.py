"""An organization's owners: what they may that its admins may not, and that none of them is the platform's."""

import asyncio

from berrante.app import Application
from berrante.messaging.people import Role
from tests.app.process import client_of
from tests.web.access import PASSWORD, error, headers_of, owner_headers, person, tenant


async def test_only_owners_make_change_reset_and_remove_owners(application: Application) -> None:
    acme = await tenant(application)
    async with client_of(application) as client:
        ana = await person(application, acme.organization_id, Role.ADMIN, "ana@example.com")
        bia = await person(application, acme.organization_id, Role.OWNER, "bia@example.com")
        new, path = {"email": "eve@example.com", "role": "owner"}, f"/v1/people/{bia.id}"
        admin, owner = [await headers_of(client, each.email) for each in (ana, bia)]
        for headers in (admin, acme.headers):  # a key with all scopes is no owner either
            for method, where, body in (
                ("POST", "/v1/people", new),
                ("PATCH", f"/v1/people/{ana.id}", {"role": "owner"}),
                ("PATCH", path, {"role": "admin"}),
                ("PATCH", path, {"name": "B"}),
                ("PATCH", path, {"disabled": True}),
                ("POST", f"{path}/reset-password", {}),
                ("DELETE", path, None),
            ):
                refused = await client.request(method, where, json=body, headers=headers)
                assert error(refused) == (403, "forbidden"), (method, where, body)
                assert "ask an owner" in refused.json()["error"]["message"]
        assert (await client.get(path, headers=admin)).json()["role"] == "owner"
        # Admins still manage admins, and an owner is one more who may.
        cid = await client.post("/v1/people", json=new | {"email": "cid@example.com", "role": "admin"}, headers=admin)
        assert (await client.delete(f"/v1/people/{cid.json()['id']}", headers=admin)).status_code == 204
        eve = (await client.post("/v1/people", json=new, headers=owner)).json()
        assert eve["role"] == "owner"
        for method, where, body in (
            ("POST", f"/v1/people/{eve['id']}/reset-password", {}),
            ("PATCH", f"/v1/people/{eve['id']}", {"role": "agent"}),
            ("DELETE", f"/v1/people/{eve['id']}", None),
            ("PATCH", f"/v1/people/{ana.id}", {"role": "owner"}),
            ("DELETE", f"/v1/people/{ana.id}", None),
        ):
            assert (await client.request(method, where, json=body, headers=owner)).status_code < 300, (method, where)
        # A key of the owner's making is worth no owner.
        key = {"name": "Shop", "scopes": ["owners.write"]}
        assert error(await client.post("/v1/api-keys", json=key, headers=owner)) == (422, "invalid")


async def test_the_last_owner_stays_also_when_two_remove_each_other(application: Application) -> None:
    acme = await tenant(application)
    async with client_of(application) as client:
        platform = await owner_headers(application, client) | {"X-Organization-Id": str(acme.organization_id)}
        ana = await person(application, acme.organization_id, Role.OWNER, "ana@example.com")
        bia = await person(application, acme.organization_id, Role.ADMIN, "bia@example.com")
        path = f"/v1/people/{ana.id}"
        for headers in (platform, await headers_of(client, ana.email)):
            for body in ({"role": "admin"}, {"disabled": True}):
                kept = await client.patch(path, json=body, headers=headers)
                assert error(kept) == (409, "wrong_state")
                assert "joined by another owner first" in kept.json()["error"]["message"]
            assert error(await client.delete(path, headers=headers)) == (409, "wrong_state")
        # Where an owner is, no admin needs to be.
        assert (await client.patch(f"/v1/people/{bia.id}", json={"role": "owner"}, headers=platform)).status_code == 200
        each_other = (ana, bia)
        answers = await asyncio.gather(
            *(client.delete(f"/v1/people/{each.id}", headers=platform) for each in each_other)
        )
        assert sorted(answer.status_code for answer in answers) == [204, 409]


async def test_an_organizations_owner_is_not_the_platforms(application: Application) -> None:
    acme, other = await tenant(application), await tenant(application, "Other")
    ana = await person(application, acme.organization_id, Role.OWNER, "ana@example.com")
    async with client_of(application) as client:
        log_in = {"email": ana.email, "password": PASSWORD}
        session = (await client.post("/auth/login", json=log_in)).json()
        headers = {"Authorization": f"Bearer {session['access_token']}"}
        for method, path, body in (
            ("GET", "/v1/organizations", None),
            ("POST", "/v1/organizations", {"name": "Mine"}),
            ("GET", f"/v1/organizations/{acme.organization_id}", None),
            ("PATCH", f"/v1/organizations/{acme.organization_id}", {"quota": {"messages_per_day": 9}}),
            ("GET", f"/v1/organizations/{other.organization_id}", None),
        ):
            refused = await client.request(method, path, json=body, headers=headers)
            assert error(refused) == (403, "forbidden"), (method, path)
        board = "/admin/queues/api/queues"
        assert (await client.get(board, headers=headers)).status_code == 403
        assert (await client.get(board, auth=(ana.email, PASSWORD))).status_code == 403
        # Naming another organization leads nowhere: they stay in their own.
        elsewhere = headers | {"X-Organization-Id": str(other.organization_id)}
        seen = (await client.get("/v1/people", headers=elsewhere)).json()["data"]
        assert [each["email"] for each in seen] == [ana.email]
        assert (await client.get("/v1/quotas", headers=headers)).json()["quota"]["messages_per_day"] is None
