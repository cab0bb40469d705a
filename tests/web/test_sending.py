"""``POST /v1/instances/{id}/messages`` with every kind of content, and the files that go along."""

import hashlib
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from berrante.app import Application
from berrante.gateways.protocol import (
    MediaContent,
    MediaKind,
    OutboundMessage,
    TemplateContent,
)
from berrante.messaging.messages.content import outgoing
from berrante.web.api.contents import EXAMPLES
from tests.app.process import client_of, working
from tests.waiting import until
from tests.web.access import error
from tests.web.tenants import tenant

TO = "+5511987654321"
PATH = "/v1/instances/sales/messages"
PDF = b"%PDF-1.4 menu"


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
async def test_the_documents_example_of_each_kind_is_sent(application: Application, kind: str) -> None:
    ours = await tenant(application)
    async with client_of(application) as client, working(application):
        answer = await client.post(PATH, json=EXAMPLES[kind]["value"], headers=ours.headers)
        assert answer.status_code == 202, answer.text
        path = f"/v1/messages/{answer.json()['id']}"

        async def sent() -> bool:
            return (await client.get(path, headers=ours.headers)).json()["sent_at"] is not None

        await until(sent)
    (message,) = await application.messages.list(ours.id)
    (seen,) = application.simulator.ledger[("sales", TO)]
    assert seen.content == outgoing(message.content)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "text", "text": " "}, "text"),
        ({"type": "media", "kind": "image"}, "media"),
        ({"type": "media", "kind": "image", "url": "ftp://x.example/a"}, "media.url"),
        ({"type": "media", "kind": "image", "url": "https://a b/c.png"}, "url"),
        ({"type": "media", "kind": "audio", "url": "https://x.example/a.mp3", "caption": "x"}, "caption"),
        ({"type": "media", "kind": "image", "media_id": "0" * 64 + ".png"}, "media_id"),
        ({"type": "media", "kind": "image", "media_id": f"{uuid4()}/{'0' * 64}.png"}, "media.media_id"),
        ({"type": "template", "name": "Hi", "language": "pt_BR"}, "template.name"),
        ({"type": "template", "name": "hi", "language": "pt_BR", "variables": {"1": "a", "3": "b"}}, "template"),
        ({"type": "template", "name": "hi", "language": "pt_BR", "variables": {"1": "a", "x": "b"}}, "template"),
        (
            {
                "type": "template",
                "name": "hi",
                "language": "en",
                "header": {"kind": "image", "media_id": "0" * 64 + ".png"},
            },
            "header.media_id",
        ),
        ({"type": "buttons", "text": "?", "buttons": [{"id": "a", "title": "A"}] * 2}, "buttons.id"),
        ({"type": "list", "text": "?", "button": "B", "sections": [{"rows": [{"id": "a", "title": "A"}]}] * 2}, None),
        ({"type": "location", "latitude": 91, "longitude": 0}, "location.latitude"),
        ({"type": "contacts", "contacts": [{"formatted_name": "Ana"}]}, "first_name"),
        ({"type": "text", "text": "x", "reply_to": str(uuid4())}, "reply_to"),
        ({"type": "text", "text": "x", "tetx": "y"}, "text.tetx"),
    ],
)
async def test_what_whatsapp_would_refuse_is_422_and_nothing_is_stored(
    application: Application, body: dict[str, Any], field: str | None
) -> None:
    ours = await tenant(application)
    async with client_of(application) as client:
        answer = await client.post(PATH, json={"to": TO, **body}, headers=ours.headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "invalid"), error
    assert field is None or error["field"] == field
    assert await application.messages.list(ours.id) == []


async def test_a_gateway_that_cannot_send_a_kind_refuses_it_by_name(application: Application) -> None:
    ours = await tenant(application)
    await application.instances.create(organization_id=ours.id, id="web", gateway="baileys")
    place = {"to": TO, "type": "location", "latitude": 1, "longitude": 2}
    linked = {"to": TO, "type": "media", "kind": "image", "url": "https://example.com/a.png"}
    async with client_of(application) as client:
        client.headers.update(ours.headers)
        answers = [await client.post("/v1/instances/web/messages", json=body) for body in (place, linked)]
    errors = [answer.json()["error"] for answer in answers]
    assert [(error["code"], error["field"]) for error in errors] == [
        ("content_not_supported", "type"),
        ("content_not_supported", "url"),
    ]


async def test_variables_by_name_and_by_place_fill_the_body(application: Application) -> None:
    ours = await tenant(application)
    template = {"to": TO, "type": "template", "name": "hi", "language": "pt_BR"}
    async with client_of(application) as client:
        client.headers.update(ours.headers)
        for variables in ({"2": "b", "1": "a"}, {"name": "Ana", "city": "Recife"}):
            answer = await client.post(PATH, json={**template, "variables": variables})
            assert answer.status_code == 202, answer.text
    kept = [outgoing(message.content) for message in await application.messages.list(ours.id)]
    found = set()
    for content in kept:
        assert isinstance(content, TemplateContent)
        found.add(tuple((each.name, each.text) for each in content.components[0].parameters))
    assert found == {((None, "a"), (None, "b")), (("name", "Ana"), ("city", "Recife"))}


async def test_a_file_that_is_too_long_or_empty_is_refused_and_not_kept(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("berrante.web.api.media.MAX_BYTES", 10)
    ours = await tenant(application)
    headers = {**ours.headers, "Content-Type": "application/pdf"}
    async with client_of(application) as client:
        for body, refusal in ((b"x" * 11, (413, "body_too_large")), (b"", (422, "invalid"))):
            assert error(await client.post("/v1/media", content=body, headers=headers)) == refusal
        assert (await client.post("/v1/media", content=b"x" * 10, headers=headers)).status_code == 201
    async with application.database.begin() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM media_files"))).scalar_one() == 1


async def test_a_file_is_uploaded_sent_and_read_again(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = await tenant(application)
    sent: list[OutboundMessage] = []
    send = application.simulator.send

    async def noted(message: OutboundMessage) -> Any:
        sent.append(message)
        return await send(message)

    monkeypatch.setattr(application.simulator, "send", noted)
    async with client_of(application) as client, working(application):
        client.headers.update(ours.headers)
        uploaded = await client.post("/v1/media", content=PDF, headers={"Content-Type": "application/pdf"})
        assert uploaded.status_code == 201, uploaded.text
        file = uploaded.json()
        assert file == {"id": f"{hashlib.sha256(PDF).hexdigest()}.pdf", "content_type": "application/pdf", "size": 13}
        body = {"to": TO, "type": "media", "kind": "document", "media_id": file["id"], "filename": "menu.pdf"}
        assert (await client.post(PATH, json=body)).status_code == 202
        await until(lambda: bool(sent))
        read = await client.get(f"/v1/media/{file['id']}")
    assert sent[0].content == MediaContent(
        kind=MediaKind.DOCUMENT, stored=f"{ours.id}/{file['id']}", filename="menu.pdf"
    )
    assert (read.content, read.headers["Content-Type"]) == (PDF, "application/pdf")
    assert read.headers["Content-Disposition"].startswith("attachment")
    assert "sandbox" in read.headers["Content-Security-Policy"]
    assert read.headers["X-Content-Type-Options"] == "nosniff"


async def test_another_organizations_file_is_nobody_elses(application: Application) -> None:
    ours, theirs = await tenant(application), await tenant(application, "theirs")
    async with client_of(application) as client:
        uploaded = await client.post(
            "/v1/media", content=PDF, headers={**theirs.headers, "Content-Type": "application/pdf"}
        )
        media_id = uploaded.json()["id"]
        client.headers.update(ours.headers)
        assert (await client.get(f"/v1/media/{media_id}")).status_code == 404
        assert (await client.get(f"/v1/media/..%2F{theirs.id}%2F{media_id}")).status_code == 404
        body = {"to": TO, "type": "media", "kind": "document", "media_id": media_id}
        answer = await client.post(PATH, json=body)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "media_id")


@pytest.mark.parametrize(
    ("kind", "data", "status"),
    [("text/html", b"<script>", 415), ("", b"x", 415), ("image/png", b"", 422), ("image/svg+xml", b"<svg/>", 415)],
)
async def test_a_file_that_whatsapp_does_not_carry_is_refused(
    application: Application, kind: str, data: bytes, status: int
) -> None:
    ours = await tenant(application)
    async with client_of(application) as client:
        answer = await client.post("/v1/media", content=data, headers={**ours.headers, "Content-Type": kind})
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


async def test_a_message_quotes_another_of_its_conversation_alone(application: Application) -> None:
    ours = await tenant(application)
    async with client_of(application) as client, working(application):
        client.headers.update(ours.headers)
        application.simulator.write(organization_id=ours.id, instance_id="sales", sender=TO, text="Where is it?")

        async def stored() -> Any:
            return next((each for each in await application.messages.list(ours.id) if each.direction == "in"), None)

        asked = await until(stored)
        quoted = {"to": TO, "type": "text", "text": "Here", "reply_to": str(asked.id)}
        answer = await client.post(PATH, json=quoted)
        assert answer.status_code == 202, answer.text
        elsewhere = await client.post(PATH, json=quoted | {"to": "+5511987654322"})
        assert (elsewhere.status_code, elsewhere.json()["error"]["field"]) == (422, "reply_to")
        (message,) = [each for each in await application.messages.list(ours.id) if each.direction == "out"]
    assert message.content["context"] == {"id": asked.wire_id, "ours": False, "text": "Where is it?"}
