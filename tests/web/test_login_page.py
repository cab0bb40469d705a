"""The page /login: it leads to where one wanted to go, says what was wrong, and nowhere else."""

import re

import pytest

from berrante.app import Application
from tests.app.process import client_of

PASSWORD = "correct horse battery"


@pytest.fixture
async def owner(application: Application) -> str:
    await application.people.ensure_owner("root@example.com", PASSWORD)
    return "root@example.com"


def _csrf(html: str) -> str:
    (token,) = re.findall(r'name="csrf" value="([^"]+)"', html)
    return token


async def test_logging_in_leads_to_the_page_that_was_asked_for(application: Application, owner: str) -> None:
    async with client_of(application) as client:
        page = await client.get("/login", params={"next": "/admin/queues?page=2"})
        assert page.status_code == 200
        form = {"email": owner, "password": PASSWORD, "csrf": _csrf(page.text), "next": "/admin/queues?page=2"}
        answer = await client.post("/login", data=form)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/queues?page=2")
        assert (await client.get("/auth/me")).json()["role"] == "owner"
        # Whoever is logged in needs no form.
        assert (await client.get("/login")).headers["Location"] == "/admin/queues"


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nX: y", "evil"])
async def test_nobody_is_led_to_another_site(application: Application, owner: str, target: str) -> None:
    async with client_of(application) as client:
        page = await client.get("/login", params={"next": target})
        assert "evil" not in page.text
        form = {"email": owner, "password": PASSWORD, "csrf": _csrf(page.text), "next": target}
        assert (await client.post("/login", data=form)).headers["Location"] == "/"
        assert (await client.get("/auth/continue", params={"next": target})).headers["Location"] == "/"


async def test_what_was_wrong_is_said_and_the_address_stays(application: Application, owner: str) -> None:
    async with client_of(application) as client:
        page = await client.get("/login")
        form = {"email": 'a"><b>@x.example', "password": "wrong", "csrf": _csrf(page.text)}
        answer = await client.post("/login", data=form)
        assert answer.status_code == 401
        assert 'role="alert">The e-mail address or the password is wrong.' in answer.text
        assert "a&#34;&gt;&lt;b&gt;@x.example" in answer.text
        assert "wrong</" not in answer.text
        for _ in range(5):
            answer = await client.post("/login", data=form | {"csrf": _csrf(answer.text)})
        assert answer.status_code == 429
        assert "Too many failed log-ins: try again in 15 minutes." in answer.text


async def test_a_form_of_another_site_logs_nobody_in(application: Application, owner: str) -> None:
    async with client_of(application) as client:
        page = await client.get("/login")
        form = {"email": owner, "password": PASSWORD}
        for csrf in ("", "x.y", _csrf((await client.get("/login")).text) + "0"):
            answer = await client.post("/login", data=form | {"csrf": csrf})
            assert answer.status_code == 403
            assert "berrante_session" not in client.cookies
        client.cookies.clear()
        assert (await client.post("/login", data=form | {"csrf": _csrf(page.text)})).status_code == 403


async def test_the_page_loads_nothing_from_elsewhere_and_runs_no_inline_script(application: Application) -> None:
    async with client_of(application) as client:
        page = await client.get("/login")
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in page.text
        assert "style=" not in page.text
        assert re.findall(r"<script(?![^>]*src=)", page.text) == []
        for path in re.findall(r'(?:href|src)="(/[^"]+)"', page.text):
            assert (await client.get(path)).status_code == 200
        assert (await client.get("/login/../app.py")).status_code == 404
        assert (await client.get("/login/login.html")).status_code == 404


async def test_a_page_renews_the_session_without_asking(application: Application, owner: str) -> None:
    async with client_of(application) as client:
        page = await client.get("/login")
        await client.post("/login", data={"email": owner, "password": PASSWORD, "csrf": _csrf(page.text)})
        client.cookies.delete("berrante_session")  # what its fifteen minutes do
        answer = await client.get("/auth/continue", params={"next": "/admin/queues"})
        assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/queues")
        assert (await client.get("/auth/me")).status_code == 200

        client.cookies.clear()
        answer = await client.get("/auth/continue", params={"next": "/admin/queues"})
        assert answer.headers["Location"] == "/login?next=%2Fadmin%2Fqueues"
