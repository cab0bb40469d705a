"""Logging in, renewing and ending sessions, and what each way of proving oneself opens."""

import asyncio
from datetime import timedelta

import httpx
import jwt
import pytest
import pytest_asyncio
from sqlalchemy import func, select, update

from berrante.app import Application
from berrante.messaging import audit
from berrante.messaging.audit.models import audit_log
from berrante.messaging.errors import LockedOut
from berrante.messaging.people import SCOPES, Person, Role
from berrante.messaging.people.attempts import PER_ADDRESS, PER_PAIR
from berrante.messaging.people.models import people, refresh_tokens, sessions
from berrante.web.tokens import Tokens
from tests.app.process import client_of

PASSWORD = "correct horse battery"


@pytest_asyncio.fixture
async def admin(application: Application) -> Person:
    organization = await application.organizations.create("Acme")
    return await person_in(application, organization.id, Role.ADMIN, "ana@example.com")


async def person_in(application: Application, organization_id, role: Role, email: str) -> Person:
    person, _ = await application.people.create(
        organization_id, email=email, role=role, password=PASSWORD, actor=audit.COMMAND, may=SCOPES
    )
    return person


async def log_in(client: httpx.AsyncClient, email: str, password: str = PASSWORD, **more: str) -> httpx.Response:
    return await client.post("/auth/login", json={"email": email, "password": password, **more})


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_who_knows_the_password_gets_a_session_and_others_get_401(
    application: Application, admin: Person
) -> None:
    async with client_of(application) as client:
        answer = await log_in(client, " Ana@Example.com ")
        assert answer.status_code == 200
        given = answer.json()
        assert given["person"] == {
            "id": str(admin.id),
            "organization_id": str(admin.organization_id),
            "email": "ana@example.com",
            "name": None,
            "role": "admin",
        }
        assert answer.headers["Cache-Control"] == "no-store"
        assert not answer.cookies
        me = await client.get("/auth/me", headers=bearer(given["access_token"]))
        assert (me.json()["kind"], me.json()["role"]) == ("person", "admin")
        listed = await client.get("/v1/messages", headers=bearer(given["access_token"]))
        assert listed.status_code == 200

        wrong = await log_in(client, "ana@example.com", "wrong password")
        unknown = await log_in(client, "nobody@example.com", "wrong password")
    assert (wrong.status_code, unknown.status_code) == (401, 401)
    same = [{**answer.json()["error"], "request_id": None} for answer in (wrong, unknown)]
    assert same[0] == same[1]
    assert same[0]["code"] == "login_failed"


async def test_an_unknown_account_costs_a_hash_like_a_known_one(
    application: Application, admin: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []
    verify = application.people._passwords._verify
    monkeypatch.setattr(application.people._passwords, "_verify", lambda *a: (checked.append(a[0]), verify(*a))[1])
    assert await application.people.verify("ana@example.com", "wrong password") is None
    assert await application.people.verify("nobody@example.com", "wrong password") is None
    assert len(checked) == 2
    assert all(hash_.startswith("$argon2id$") for hash_ in checked)
    assert [hash_.split("$")[3] for hash_ in checked] == [checked[0].split("$")[3]] * 2


async def test_who_guesses_is_locked_out_even_with_the_right_password(application: Application, admin: Person) -> None:
    async with client_of(application) as client:
        guesses = [await log_in(client, "ana@example.com", f"guess number {n}") for n in range(PER_PAIR)]
        assert [guess.status_code for guess in guesses] == [401] * PER_PAIR
        locked = await log_in(client, "ana@example.com")
        assert locked.status_code == 429
        assert locked.json()["error"]["code"] == "locked_out"
        assert "try again in 15 minutes" in locked.json()["error"]["message"]
        assert 0 < int(locked.headers["Retry-After"]) <= 900

        # An account that is not there is locked in the same way.
        for _ in range(PER_PAIR):
            await log_in(client, "nobody@example.com", "guess of nobody")
        assert (await log_in(client, "nobody@example.com", "guess of nobody")).status_code == 429


async def test_a_hundred_guesses_at_once_are_no_way_around(application: Application) -> None:
    attempts = application.login_attempts

    async def admitted() -> bool:
        try:
            await attempts.admit(email="ana@example.com", address="203.0.113.7")
        except LockedOut:
            return False
        return True

    assert sum(await asyncio.gather(*(admitted() for _ in range(100)))) == PER_PAIR


async def test_one_address_that_tries_many_accounts_is_locked_out(application: Application) -> None:
    attempts = application.login_attempts
    for number in range(PER_ADDRESS):
        await attempts.admit(email=f"{number}@example.com", address="203.0.113.7")
    with pytest.raises(LockedOut, match="too many failed log-ins"):
        await attempts.admit(email="new@example.com", address="203.0.113.7")
    await attempts.admit(email="new@example.com", address="203.0.113.8")


async def test_logging_in_forgets_the_failures_before(application: Application, admin: Person) -> None:
    async with client_of(application) as client:
        for _ in range(3):
            for n in range(PER_PAIR - 1):
                await log_in(client, "ana@example.com", f"guess number {n}")
            assert (await log_in(client, "ana@example.com")).status_code == 200


async def test_a_refresh_token_is_good_once(application: Application, admin: Person) -> None:
    async with client_of(application) as client:
        first = (await log_in(client, "ana@example.com")).json()
        second = (await client.post("/auth/refresh", json={"refresh_token": first["refresh_token"]})).json()
        assert second["refresh_token"] != first["refresh_token"]
        # Two tabs at once: no token for the second, and no harm to the first.
        raced = await client.post("/auth/refresh", json={"refresh_token": first["refresh_token"]})
        assert (raced.status_code, raced.json()["error"]["code"]) == (409, "refresh_raced")
        third = await client.post("/auth/refresh", json={"refresh_token": second["refresh_token"]})
        assert third.status_code == 200


async def test_a_refresh_token_shown_again_later_ends_the_session(application: Application, admin: Person) -> None:
    async with client_of(application) as client:
        first = (await log_in(client, "ana@example.com")).json()
        other = (await log_in(client, "ana@example.com")).json()
        second = (await client.post("/auth/refresh", json={"refresh_token": first["refresh_token"]})).json()
        async with application.database.begin() as connection:
            earlier = refresh_tokens.c.used_at - timedelta(minutes=1)
            await connection.execute(update(refresh_tokens).values(used_at=earlier))

        stolen = await client.post("/auth/refresh", json={"refresh_token": first["refresh_token"]})
        assert (stolen.status_code, stolen.json()["error"]["code"]) == (401, "session_ended")
        for token in (second["refresh_token"], first["refresh_token"]):
            assert (await client.post("/auth/refresh", json={"refresh_token": token})).status_code == 401
        assert (await client.get("/auth/me", headers=bearer(second["access_token"]))).status_code == 401
        # The person's other session goes on.
        assert (await client.get("/auth/me", headers=bearer(other["access_token"]))).status_code == 200
    async with application.database.begin() as connection:
        acts = select(audit_log.c.action).where(audit_log.c.action == "session.reuse_detected")
        assert len((await connection.execute(acts)).all()) == 1


async def test_many_renewals_at_once_give_one_token(application: Application, admin: Person) -> None:
    async with client_of(application) as client:
        token = (await log_in(client, "ana@example.com")).json()["refresh_token"]
        answers = await asyncio.gather(*(client.post("/auth/refresh", json={"refresh_token": token}) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7


async def test_after_logging_out_nothing_of_the_session_opens(application: Application, admin: Person) -> None:
    async with client_of(application) as client:
        given = (await log_in(client, "ana@example.com")).json()
        for _ in range(2):
            gone = await client.post("/auth/logout", json={"refresh_token": given["refresh_token"]})
            assert gone.status_code == 204
        assert (await client.get("/auth/me", headers=bearer(given["access_token"]))).status_code == 401
        again = await client.post("/auth/refresh", json={"refresh_token": given["refresh_token"]})
        assert again.status_code == 401


async def test_a_changed_role_and_a_disabled_person_hold_at_once(application: Application, admin: Person) -> None:
    agent = await person_in(application, admin.organization_id, Role.AGENT, "bia@example.com")
    async with client_of(application) as client:
        token = bearer((await log_in(client, "bia@example.com")).json()["access_token"])
        assert "messages.write" in (await client.get("/auth/me", headers=token)).json()["scopes"]
        change = {"actor": audit.COMMAND, "may": SCOPES}
        await application.people.change(admin.organization_id, agent.id, role=Role.VIEWER, **change)
        assert "messages.write" not in (await client.get("/auth/me", headers=token)).json()["scopes"]
        await application.people.change(admin.organization_id, agent.id, disabled=True, **change)
        assert (await client.get("/auth/me", headers=token)).status_code == 401
        assert (await log_in(client, "bia@example.com")).status_code == 401


async def test_access_tokens_of_other_making_open_nothing(application: Application, admin: Person) -> None:
    session = await application.sessions.open(admin.id, admin.organization_id, address=None, user_agent=None)
    good = Tokens(application.secret_key).access(session.id, admin)
    claims = jwt.decode(good, options={"verify_signature": False})
    key = Tokens(application.secret_key)._access_key
    others = {
        "another secret's": Tokens("x" * 40).access(session.id, admin),
        "unsigned": jwt.encode(claims, None, algorithm="none"),
        "expired": jwt.encode(claims | {"exp": claims["iat"] - 1}, key, algorithm="HS256"),
        "for another audience": jwt.encode(claims | {"aud": "other"}, key, algorithm="HS256"),
        "without a session": jwt.encode({k: v for k, v in claims.items() if k != "sid"}, key, algorithm="HS256"),
        "of a session that is a number": jwt.encode(claims | {"sid": 7}, key, algorithm="HS256"),
        "no token": "x.y.z",
    }
    async with client_of(application) as client:
        assert (await client.get("/auth/me", headers=bearer(good))).status_code == 200
        answers = {name: (await client.get("/auth/me", headers=bearer(token))) for name, token in others.items()}
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(others, 401)


async def test_a_browser_gets_cookies_that_scripts_cannot_read_and_no_tokens(
    application: Application, admin: Person
) -> None:
    async with client_of(application) as client:
        answer = await log_in(client, "ana@example.com", mode="cookie")
        assert (answer.json()["access_token"], answer.json()["refresh_token"]) == (None, None)
        cookies = {cookie.split("=")[0]: cookie for cookie in answer.headers.get_list("set-cookie")}
        assert set(cookies) == {"berrante_session", "berrante_refresh", "berrante_csrf"}
        assert all("SameSite=lax" in cookie for cookie in cookies.values())
        assert [name for name, cookie in cookies.items() if "HttpOnly" not in cookie] == ["berrante_csrf"]
        assert "Path=/auth" in cookies["berrante_refresh"]
        assert (await client.get("/v1/messages")).status_code == 200


async def test_a_cookie_alone_changes_nothing(application: Application, admin: Person) -> None:
    """Another site can make the browser send our cookies, and cannot read them."""
    new = {"current_password": PASSWORD, "new_password": "another horse battery"}
    async with client_of(application) as client:
        csrf = (await log_in(client, "ana@example.com", mode="cookie")).json()["csrf_token"]
        other = Tokens(application.secret_key).csrf(admin.id)
        for headers in ({}, {"X-CSRF-Token": other}, {"X-CSRF-Token": ""}, {"Sec-Fetch-Site": "cross-site"}):
            refused = await client.post("/auth/password", json=new, headers=headers)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "csrf")
            assert (await client.post("/auth/refresh", headers=headers)).status_code == 403
            assert (await client.post("/auth/logout", headers=headers)).status_code == 403
        assert (await client.post("/auth/refresh", headers={"X-CSRF-Token": csrf})).status_code == 200
        csrf = client.cookies["berrante_csrf"]
        assert (await client.post("/auth/password", json=new, headers={"X-CSRF-Token": csrf})).status_code == 204
        assert (await client.post("/auth/logout", headers={"X-CSRF-Token": csrf})).status_code == 204
        assert not client.cookies
        assert (await log_in(client, "ana@example.com", "another horse battery")).status_code == 200


async def test_a_new_password_ends_the_other_sessions(application: Application, admin: Person) -> None:
    async with client_of(application) as client:
        mine = (await log_in(client, "ana@example.com")).json()
        other = (await log_in(client, "ana@example.com")).json()
        new = {"current_password": PASSWORD, "new_password": "another horse battery"}
        headers = bearer(mine["access_token"])
        wrong = await client.post("/auth/password", json=new | {"current_password": "no"}, headers=headers)
        assert wrong.status_code == 401
        assert (await client.post("/auth/password", json=new, headers=headers)).status_code == 204
        assert (await client.get("/auth/me", headers=headers)).status_code == 200
        assert (await client.get("/auth/me", headers=bearer(other["access_token"]))).status_code == 401


async def test_resetting_the_owner_ends_their_sessions(application: Application) -> None:
    assert await application.people.ensure_owner("root@example.com", PASSWORD)
    async with client_of(application) as client:
        given = (await log_in(client, "root@example.com")).json()
        assert given["person"]["role"] == "owner"
        assert await application.people.reset_owner("root@example.com", "another horse battery") == 1
        assert (await client.get("/auth/me", headers=bearer(given["access_token"]))).status_code == 401
        assert (await log_in(client, "root@example.com")).status_code == 401
        assert (await log_in(client, "root@example.com", "another horse battery")).status_code == 200


async def test_the_owner_names_the_organization_to_act_in(application: Application, admin: Person) -> None:
    await application.people.ensure_owner("root@example.com", PASSWORD)
    async with client_of(application) as client:
        headers = bearer((await log_in(client, "root@example.com")).json()["access_token"])
        assert (await client.get("/v1/messages", headers=headers)).status_code == 422
        for organization_id, status in ((str(admin.organization_id), 200), (str(admin.id), 404), ("x", 404)):
            named = headers | {"X-Organization-Id": organization_id}
            assert (await client.get("/v1/messages", headers=named)).status_code == status


async def test_nobody_else_chooses_an_organization(application: Application, admin: Person) -> None:
    other = await application.organizations.create("Other")
    async with client_of(application) as client:
        headers = bearer((await log_in(client, "ana@example.com")).json()["access_token"])
        named = headers | {"X-Organization-Id": str(other.id)}
        assert (await client.get("/auth/me", headers=named)).json()["organization_id"] == str(admin.organization_id)


async def test_a_password_is_never_in_an_answer_to_a_malformed_request(application: Application) -> None:
    async with client_of(application) as client:
        answer = await client.post("/auth/login", json={"email": 7, "password": "hush hush"})
    assert answer.status_code == 422
    assert "hush" not in answer.text
    assert answer.json()["error"]["violations"][0]["field"] == "email"
    assert answer.json()["error"]["request_id"] == answer.headers["X-Request-Id"]


async def test_sessions_that_are_over_are_cleared_away(application: Application, admin: Person) -> None:
    async with client_of(application) as client:
        old = (await log_in(client, "ana@example.com")).json()
        async with application.database.begin() as connection:
            await connection.execute(update(sessions).values(expires_at=func.now() - timedelta(seconds=1)))
        assert (await client.get("/auth/me", headers=bearer(old["access_token"]))).status_code == 401
        assert (await client.post("/auth/refresh", json={"refresh_token": old["refresh_token"]})).status_code == 401
        await log_in(client, "ana@example.com")
    async with application.database.begin() as connection:
        assert len((await connection.execute(select(sessions.c.id))).all()) == 1
        assert (await connection.execute(select(people.c.last_login_at))).scalar_one() is not None
