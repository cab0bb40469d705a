"""/v1/contacts: one person, one contact, and nobody else's."""

import asyncio
import csv
import io
from typing import Any
from uuid import uuid4

import pytest

from berrante.app import Application
from tests.app.process import client_of, working
from tests.waiting import until
from tests.web.tenants import made, tenant

_WHOLE = {
    "address": "55 85 8765-4321",
    "name": "Ana Souza",
    "language": "pt_BR",
    "fields": {"city": "Recife", "orders": 3, "vip": True},
    "tags": ["New", "vip"],
    "opt_in": {"source": "checkout", "text": "yes"},
}


async def test_a_contact_is_made_read_changed_and_found(application: Application) -> None:
    ours = await tenant(application)
    async with client_of(application) as client:
        client.headers.update(ours.headers)
        contact = await made(client, ours, **_WHOLE)
        assert contact["address"] == "+5585987654321"
        assert (contact["fields"], contact["tags"]) == (_WHOLE["fields"], ["new", "vip"])
        assert (contact["consent"], contact["language"]) == ("opted_in", "pt-BR")
        path = f"/v1/contacts/{contact['id']}"
        assert (await client.get(path)).json() == contact
        changed = await client.patch(path, json={"fields": {"orders": None, "shoe": 40}, "blocked": True})
        assert changed.json()["fields"] == {"city": "Recife", "vip": True, "shoe": 40}
        assert changed.json()["blocked_at"]
        assert (await client.post(f"{path}/tags", json={"tags": ["a"]})).json()["tags"] == ["a", "new", "vip"]
        assert (await client.delete(f"{path}/tags/new")).json()["tags"] == ["a", "vip"]
        for query in (
            {"q": "sou"},
            {"q": "+5585"},
            {"tag": ["a", "vip"]},
            {"field": "shoe:40"},
            {"consent": "opted_in"},
        ):
            assert [each["id"] for each in (await client.get("/v1/contacts", params=query)).json()["data"]] == [
                contact["id"]
            ], query
        for query in ({"q": "ouz"}, {"tag": "b"}, {"field": "shoe:41"}, {"instance_id": "other"}):
            assert (await client.get("/v1/contacts", params=query)).json() == {"data": [], "next": None}


async def test_contacts_come_page_by_page(application: Application) -> None:
    ours = await tenant(application)
    async with client_of(application) as client:
        client.headers.update(ours.headers)
        for number in range(5):
            await made(client, ours, address=f"+551198765432{number}")
        found: list[str] = []
        before: dict[str, str] = {}
        while True:
            page = (await client.get("/v1/contacts", params={"limit": "2", **before})).json()
            found += [each["address"] for each in page["data"]]
            if page["next"] is None:
                break
            before = {"before": page["next"]}
    assert found == [f"+551198765432{number}" for number in (4, 3, 2, 1, 0)]


async def test_of_many_who_make_one_contact_at_once_one_is_told_201(application: Application) -> None:
    ours = await tenant(application)
    body = {"instance_id": "sales", "address": "+5511987654321"}
    async with client_of(application) as client:
        answers = await asyncio.gather(
            *(client.post("/v1/contacts", json=body, headers=ours.headers) for _ in range(10))
        )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
    assert {answer.json()["error"]["code"] for answer in answers if answer.status_code == 409} == {"taken"}


async def test_consent_is_logged_with_its_evidence(application: Application) -> None:
    ours = await tenant(application)
    async with client_of(application) as client:
        client.headers.update(ours.headers)
        contact = await made(client, ours)
        path = f"/v1/contacts/{contact['id']}"
        said = {"source": "form", "text": "yes", "at": "2026-01-31T12:00:00Z"}
        assert (await client.post(f"{path}/opt-in", json=said)).json()["consent"] == "opted_in"
        out = (await client.post(f"{path}/opt-out", json={"source": "message"})).json()
        assert out["consent"] == "opted_out"
        log = (await client.get(f"{path}/consents")).json()["data"]
    assert [(each["state"], each["source"], each["at"]) for each in log][1] == ("opted_in", "form", said["at"])
    assert log[0]["state"] == "opted_out"
    assert log[0]["by"].startswith("API key brt_live_")


async def test_who_is_erased_is_gone_and_comes_back_with_a_new_opt_in_alone(application: Application) -> None:
    ours = await tenant(application)
    async with client_of(application) as client:
        client.headers.update(ours.headers)
        contact = await made(client, ours, name="Ana")
        path = f"/v1/contacts/{contact['id']}"
        assert (await client.delete(path)).status_code == 204
        assert (await client.get(path)).status_code == 404
        assert (await client.delete(path)).status_code == 404
        again = await client.post("/v1/contacts", json={"instance_id": "sales", "address": "+5511987654321"})
        assert (again.status_code, again.json()["error"]["code"]) == (409, "wrong_state")
        await made(client, ours, opt_in={"source": "form"})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"address": "12"}, "address"),
        ({"name": ""}, "name"),
        ({"fields": {"Birth day": 1}}, "fields.Birth day"),
        ({"tags": ["a,b"]}, "tags"),
        ({"unknown": 1}, "unknown"),
        ({"opt_in": {"source": "x", "at": "2026-01-31T12:00:00"}}, "opt_in.at"),
    ],
)
async def test_a_body_that_cannot_be_accepted_is_422_and_named(
    application: Application, body: dict[str, Any], field: str
) -> None:
    ours = await tenant(application)
    whole = {"instance_id": "sales", "address": "+5511987654321", **body}
    async with client_of(application) as client:
        answer = await client.post("/v1/contacts", json=whole, headers=ours.headers)
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == field


@pytest.mark.parametrize("params", [{"q": "!!"}, {"field": "x"}, {"field": "X Y:1"}, {"tag": ";"}, {"consent": "yes"}])
async def test_a_search_that_cannot_be_understood_is_422(application: Application, params: dict[str, str]) -> None:
    ours = await tenant(application)
    async with client_of(application) as client:
        for path in ("/v1/contacts", "/v1/contacts/export"):
            assert (await client.get(path, params=params, headers=ours.headers)).status_code == 422


async def _done(client: Any, import_id: str) -> dict[str, Any]:
    async def finished() -> dict[str, Any] | None:
        found = (await client.get(f"/v1/contacts/imports/{import_id}")).json()
        return found if found["finished_at"] else None

    return await until(finished)


async def test_a_file_is_imported_and_its_bad_rows_come_back(application: Application) -> None:
    ours = await tenant(application)
    data = b"phone,name,city\n+5511987654321,Ana,=1+1\n(11) 98765-4322,Bento,\n12,=x,\n"
    async with client_of(application) as client, working(application):
        client.headers.update(ours.headers)
        params = {"instance_id": "sales", "country": "BR", "filename": "a.csv"}
        begun = await client.post(
            "/v1/contacts/imports", params=params, content=data, headers={"Content-Type": "text/csv"}
        )
        assert begun.status_code == 202, begun.text
        done = await _done(client, begun.json()["id"])
        assert (done["status"], done["progress"]) == ("done", 1.0)
        assert (done["created"], done["updated"], done["rejected"]) == (2, 0, 1)
        form = await client.post(
            "/v1/contacts/imports",
            params={"instance_id": "sales", "country": "BR"},
            files={"file": ("other.csv", data, "text/csv")},
        )
        assert form.json()["id"] == done["id"]  # the same file is the same import
        errors = await client.get(f"/v1/contacts/imports/{done['id']}/errors")
        exported = await client.get("/v1/contacts/export", params={"q": "ana"})
        listed = (await client.get("/v1/contacts/imports")).json()
    assert [row[:2] for row in csv.reader(io.StringIO(errors.text))] == [["line", "column"], ["4", "phone"]]
    (row,) = csv.DictReader(io.StringIO(exported.text))
    assert (row["phone"], row["name"], row["field.city"]) == ("+5511987654321", "Ana", "'=1+1")
    assert exported.headers["Content-Type"].startswith("text/csv")
    assert [each["id"] for each in listed["data"]] == [done["id"]]


@pytest.mark.parametrize(
    ("params", "content", "headers", "status"),
    [
        ({"instance_id": "sales"}, b"", {}, 422),
        ({}, b"phone\n", {}, 422),
        ({"instance_id": "nobody"}, b"phone\n", {}, 404),
        ({"instance_id": "sales", "country": "ZZ"}, b"phone\n", {}, 422),
        ({"instance_id": "sales"}, b"x", {"Content-Type": "multipart/form-data"}, 400),
        ({"instance_id": "sales"}, b"x", {"Content-Length": "99999999"}, 413),
    ],
)
async def test_an_upload_that_cannot_be_taken_is_refused(
    application: Application, params: dict[str, str], content: bytes, headers: dict[str, str], status: int
) -> None:
    ours = await tenant(application)
    async with client_of(application) as client:
        answer = await client.post(
            "/v1/contacts/imports", params=params, content=content, headers={**ours.headers, **headers}
        )
    assert answer.status_code == status, answer.text
    assert "code" in answer.json()["error"]


async def test_a_form_without_a_file_is_422(application: Application) -> None:
    ours = await tenant(application)
    async with client_of(application) as client:
        answer = await client.post(
            "/v1/contacts/imports",
            params={"instance_id": "sales"},
            files={"other": ("a.csv", b"phone\n")},
            headers=ours.headers,
        )
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "file")


async def test_another_organizations_ids_are_404_on_every_route(application: Application) -> None:
    ours, theirs = await tenant(application, "ours"), await tenant(application, "theirs")
    async with client_of(application) as client:
        contact = await made(client, theirs)
        begun = await client.post(
            "/v1/contacts/imports", params={"instance_id": "theirs"}, content=b"phone\n", headers=theirs.headers
        )
        client.headers.update(ours.headers)
        import_id = begun.json()["id"]
        for contact_id in (contact["id"], str(uuid4())):
            path = f"/v1/contacts/{contact_id}"
            evidence = {"source": "x"}
            calls = [
                client.get(path),
                client.patch(path, json={"name": "x"}),
                client.delete(path),
                client.post(f"{path}/tags", json={"tags": ["x"]}),
                client.delete(f"{path}/tags/x"),
                client.post(f"{path}/opt-in", json=evidence),
                client.post(f"{path}/opt-out", json=evidence),
                client.get(f"{path}/consents"),
                client.get(f"/v1/instances/theirs/conversations/{contact_id}/messages"),
                client.get(f"/v1/instances/ours/conversations/{contact_id}/messages"),
                client.post(f"/v1/instances/theirs/conversations/{contact_id}/read"),
            ]
            answers = await asyncio.gather(*calls)
            assert [answer.status_code for answer in answers] == [404] * len(calls)
        more = await asyncio.gather(
            client.get(f"/v1/contacts/imports/{import_id}"),
            client.get(f"/v1/contacts/imports/{import_id}/errors"),
            client.post("/v1/contacts", json={"instance_id": "theirs", "address": "+5511987654321"}),
            client.post("/v1/contacts/imports", params={"instance_id": "theirs"}, content=b"phone\n"),
        )
        assert [answer.status_code for answer in more] == [404] * 4
        assert (await client.get("/v1/contacts")).json()["data"] == []
        assert (await client.get("/v1/contacts/imports")).json()["data"] == []
        assert len((await client.get("/v1/contacts/export")).text.splitlines()) == 1
        assert (await client.get(f"/v1/contacts/{contact['id']}", headers=theirs.headers)).json() == contact


async def test_every_route_asks_for_a_key(application: Application) -> None:
    async with client_of(application) as client:
        document = (await client.get("/openapi.json")).json()
        routes = [(path, method) for path, methods in document["paths"].items() for method in methods]
        routes = [(path, method) for path, method in routes if path.startswith("/v1/")]
        assert len(routes) >= 20
        for path, method in routes:
            filled = path.replace("{instance_id}", "x").replace("{tag}", "x")
            filled = filled.replace("{contact_id}", str(uuid4())).replace("{message_id}", str(uuid4()))
            answer = await client.request(method, filled.replace("{import_id}", str(uuid4())))
            assert (answer.status_code, path) == (401, path)
