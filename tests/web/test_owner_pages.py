"""What guards the platform owner's pages: a browser is sent to log in, programs get 401 or 403."""

from typing import Annotated

import httpx
import pytest
from fastapi import FastAPI

from berrante.app import Application
from berrante.messaging.people import Role
from berrante.web.app import create_app
from berrante.web.auth import Caller, PlatformOwner, require_scope
from tests.web.access import PASSWORD, error, headers_of, owner_headers, person, tenant

_PAGE = {"Accept": "text/html,*/*", "Sec-Fetch-Mode": "navigate"}


@pytest.fixture
def app(application: Application) -> FastAPI:
    app = create_app(application)

    @app.api_route("/admin/thing", methods=["GET", "POST"])
    async def thing(owner: PlatformOwner) -> str:
        return owner.email

    @app.get("/console/thing")
    async def scoped(caller: Annotated[Caller, require_scope("campaigns.write")]) -> str:
        return caller.name

    return app


def _client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


async def test_a_browser_is_sent_to_log_in_and_comes_back(application: Application, app: FastAPI) -> None:
    async with _client(app) as client:
        sent = await client.get("/admin/thing?page=2", headers=_PAGE)
        assert sent.status_code == 303
        assert sent.headers["Location"] == "/auth/continue?next=%2Fadmin%2Fthing%3Fpage%3D2"
        on = await client.get(sent.headers["Location"])
        assert on.headers["Location"] == "/login?next=%2Fadmin%2Fthing%3Fpage%3D2"
        # A program, and a page's script, get a plain 401.
        for headers in ({}, {"Accept": "application/json"}, _PAGE | {"Sec-Fetch-Mode": "cors"}):
            assert error(await client.get("/admin/thing", headers=headers)) == (401, "unauthorized")
        assert error(await client.post("/admin/thing", headers=_PAGE)) == (401, "unauthorized")


async def test_only_the_owner_comes_in(application: Application, app: FastAPI) -> None:
    acme = await tenant(application)
    await person(application, acme.organization_id, Role.ADMIN, "ana@example.com")
    async with _client(app) as client:
        for headers in (acme.headers, await headers_of(client, "ana@example.com")):
            assert error(await client.get("/admin/thing", headers=headers | _PAGE)) == (403, "forbidden")
        headers = await owner_headers(application, client)
        assert (await client.get("/admin/thing", headers=headers)).json() == "root@example.com"


async def test_another_site_cannot_make_the_owners_browser_write(application: Application, app: FastAPI) -> None:
    await application.people.ensure_owner("root@example.com", PASSWORD)
    async with _client(app) as client:
        log_in = {"email": "root@example.com", "password": PASSWORD, "mode": "cookie"}
        csrf = (await client.post("/auth/login", json=log_in)).json()["csrf_token"]
        for site in ("cross-site", "same-site", "none", None):
            headers = {"Sec-Fetch-Site": site} if site else {}
            assert error(await client.post("/admin/thing", headers=headers)) == (403, "csrf")
        for headers in ({"Sec-Fetch-Site": "same-origin"}, {"X-CSRF-Token": csrf}):
            assert (await client.post("/admin/thing", headers=headers)).status_code == 200
        # The API proper asks for the token itself.
        new = {"name": "Acme"}
        refused = await client.post("/v1/organizations", json=new, headers={"Sec-Fetch-Site": "same-origin"})
        assert error(refused) == (403, "csrf")
        assert (await client.post("/v1/organizations", json=new, headers={"X-CSRF-Token": csrf})).status_code == 201


async def test_a_page_of_an_organization_asks_for_its_scope(application: Application, app: FastAPI) -> None:
    acme = await tenant(application)
    async with _client(app) as client:
        assert (await client.get("/console/thing", headers=acme.headers)).json() == "all"
        for role, status in ((Role.ADMIN, 200), (Role.AGENT, 403)):
            await person(application, acme.organization_id, role, f"{role}@example.com")
            headers = await headers_of(client, f"{role}@example.com")
            assert (await client.get("/console/thing", headers=headers)).status_code == status
        assert error(await client.get("/console/thing")) == (401, "unauthorized")
