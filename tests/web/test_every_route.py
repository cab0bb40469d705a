"""Every route of the OpenAPI document, asked with one organization's key and another's ids: 404, and no row of theirs.

Whatever is asked about another organization's thing has to be answered exactly as about a thing that never was.
"""

import io
import re
from typing import Any
from uuid import uuid4

import httpx
import pytest

from berrante.app import Application
from berrante.engine import JobOptions
from berrante.messaging.people import Role
from berrante.web.app import create_app
from berrante.web.scopes import OWNERS, scope_of
from tests.app.process import client_of
from tests.web.access import Tenant, headers_of, owner_headers, person, tenant

_METHODS = ("get", "post", "put", "patch", "delete")
#: Routes that need nobody's name.
_OPEN = ("/health", "/webhooks/", "/auth/", "/metrics")


def routes(application: Application) -> list[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of every route in the document."""
    document = create_app(application).openapi()
    return [
        (method.upper(), path, described)
        for path, item in sorted(document["paths"].items())
        for method, described in item.items()
        if method in _METHODS
    ]


async def things_of(
    application: Application, owner: Tenant, name: str, *, phone: str = "+5511987654321"
) -> dict[str, str]:
    """One of everything that a path can name, by the name of the path's parameter."""
    ana = await person(application, owner.organization_id, Role.AGENT, f"agent@{name}.example")
    await application.instances.create(organization_id=owner.organization_id, id=name)
    message_id = await application.outbound.send(
        organization_id=owner.organization_id, instance_id=name, to=phone, text=f"secret of {name}"
    )
    message = await application.messages.get(owner.organization_id, message_id)
    assert message is not None
    automation = await application.automations.create(
        organization_id=owner.organization_id, name=f"secret of {name}", reply="Oi", trigger="any"
    )
    campaign = await application.campaigns.create(
        organization_id=owner.organization_id,
        instance_id=name,
        name=f"secret of {name}",
        body="Oi",
        recipients=[phone],
    )
    begun = await application.contact_imports.begin(
        io.BytesIO(f"phone\n{phone}\n".encode()), organization_id=owner.organization_id, instance_id=name
    )
    told = {
        "queue": "outbound",
        "jobId": "1",
        "name": "send",
        "data": {"organizationId": str(owner.organization_id), "instanceId": name},
        "failedReason": f"secret of {name}",
        "failedAt": 1,
    }
    letter = await application.queues.dead_letters.queue.add("send", told, JobOptions(job_id=f"letter-of-{name}"))
    endpoint = await application.endpoints.create(
        organization_id=owner.organization_id, url=f"https://{name}.example/hook", events=["*"]
    )
    delivery_id = await application.endpoints.ping(owner.organization_id, endpoint.id)
    file = await application.media.put(owner.organization_id, f"secret of {name}".encode(), mime_type="text/plain")
    return {
        "media_id": file.reference.partition("/")[2],
        "webhook_id": str(endpoint.id),
        "delivery_id": str(delivery_id),
        "letter_id": letter.id,
        "import_id": str(begun.id),
        "tag": f"tag-of-{name}",
        "organization_id": str(owner.organization_id),
        "person_id": str(ana.id),
        "key_id": str(owner.key_id),
        "instance_id": name,
        "message_id": str(message_id),
        "contact_id": str(message.contact_id),
        "automation_id": str(automation.id),
        "campaign_id": str(campaign.id),
    }


def example(schema: dict[str, Any], document: dict[str, Any]) -> Any:
    """A body that a schema accepts, as its examples say, or made of its required fields."""
    if "$ref" in schema:
        return example(document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], document)
    if schema.get("examples"):
        return schema["examples"][0]
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return example(schema[choice][0], document)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    match schema.get("type"):
        case "object":
            fields = schema.get("properties", {})
            return {name: example(fields[name], document) for name in schema.get("required", [])}
        case "array":
            return [example(schema["items"], document) for _ in range(schema.get("minItems", 0))]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "string" if schema.get("format") == "uuid":
            return str(uuid4())
        case "string":
            return "x" * max(1, schema.get("minLength", 1))
    return None


async def _asked(
    client: httpx.AsyncClient, method: str, path: str, described: dict[str, Any], headers: dict[str, str], body: Any
) -> httpx.Response:
    if body is None:
        return await client.request(method, path, headers=headers)
    return await client.request(method, path, headers=headers, json=body)


def _comparable(answer: httpx.Response, ids: dict[str, str]) -> tuple[int, str]:
    text = re.sub(r'"request_id":\s*"[^"]*"', "", answer.text)
    for name, value in ids.items():
        text = text.replace(value, name)
    return answer.status_code, text


async def test_no_route_tells_anything_of_another_organization(application: Application) -> None:
    mine, theirs = await tenant(application, "Mine"), await tenant(application, "Theirs")
    ids = await things_of(application, theirs, "theirs")
    nobodys = {name: str(uuid4()) if name != "instance_id" else "nobodys" for name in ids}
    document = create_app(application).openapi()
    walked = 0
    async with client_of(application) as client:
        owner = await owner_headers(application, client)
        for method, path, described in routes(application):
            names = re.findall(r"{(\w+)}", path)
            if path.startswith(_OPEN) or not names:
                continue
            assert set(names) <= ids.keys(), f"teach things_of() what {path} names"
            content = described.get("requestBody", {}).get("content", {})
            body = example(content["application/json"]["schema"], document) if "application/json" in content else None
            headers = mine.headers
            their, nobody = [
                await _asked(client, method, path.format(**of), described, headers, body) for of in (ids, nobodys)
            ]
            where = f"{method} {path}: {their.status_code} {their.text[:300]}"
            assert _comparable(their, ids) == _comparable(nobody, nobodys), where
            if path.split("/")[2] in OWNERS:
                assert their.status_code == 403, where
                assert (await _asked(client, method, path.format(**ids), described, owner, body)).status_code != 403
            else:
                assert their.status_code in ({404} if body is None else {404, 422}), where
            walked += 1
    assert walked >= 9
    # Nothing of theirs was changed, either.
    assert await application.api_keys.verify(theirs.secret) is not None
    assert len(await application.people.list(theirs.organization_id)) == 1
    assert (await application.campaigns.list(theirs.organization_id))[0].status == "draft"


async def test_no_list_shows_a_row_of_another_organization(application: Application) -> None:
    mine, theirs = await tenant(application, "Mine"), await tenant(application, "Theirs")
    ids = await things_of(application, theirs, "theirs")
    async with client_of(application) as client:
        for method, path, described in routes(application):
            if method != "GET" or "{" in path or path.startswith(_OPEN) or path.split("/")[2:3] == ["organizations"]:
                continue
            parameters = [each["name"] for each in described.get("parameters", []) if each["in"] == "query"]
            asked: list[dict[str, str]] = [{}, *({name: ids[name]} for name in parameters if name in ids)]
            for query in asked:
                answer = await client.get(path, params=query, headers=mine.headers)
                assert answer.status_code in {200, 404}, f"{path} {query}: {answer.text[:300]}"
                leaks = [value for value in (*ids.values(), "secret of theirs") if value in answer.text]
                assert leaks == [], f"{path} {query}"


async def test_no_route_answers_without_a_key(application: Application) -> None:
    ids = {name: str(uuid4()) for name in await things_of(application, await tenant(application), "mine")}
    wrong = (
        {},
        {"Authorization": "Bearer brt_live_0123456789abcdef"},
        {"X-API-Key": "x"},
        {"Authorization": "Bearer x"},
    )
    async with client_of(application) as client:
        for method, path, _ in routes(application):
            if path.startswith(_OPEN):
                continue
            for headers in wrong:
                answer = await client.request(method, path.format(**ids), headers=headers)
                assert answer.status_code == 401, f"{method} {path} {headers}: {answer.text[:200]}"


async def test_a_key_without_scopes_opens_no_route(application: Application) -> None:
    acme = await tenant(application)
    ids = await things_of(application, acme, "mine")
    _, secret = await application.api_keys.issue(acme.organization_id, "none", scopes=())
    async with client_of(application) as client:
        for method, path, _ in routes(application):
            if not path.startswith("/v1/"):
                continue
            scope, noun = scope_of(method, path), path.split("/")[2]
            assert scope is not None or noun in OWNERS, f"give {path} a noun in web/scopes.py"
            answer = await client.request(method, path.format(**ids), headers={"X-API-Key": secret})
            assert answer.status_code == 403, f"{method} {path}: {answer.text[:200]}"


@pytest.mark.parametrize("role", [Role.AGENT, Role.VIEWER])
async def test_people_are_told_nothing_of_other_organizations_either(application: Application, role: Role) -> None:
    mine, theirs = await tenant(application, "Mine"), await tenant(application, "Theirs")
    ids = await things_of(application, theirs, "theirs")
    await person(application, mine.organization_id, role, "ana@example.com")
    async with client_of(application) as client:
        headers = await headers_of(client, "ana@example.com")
        for method, path, _ in routes(application):
            if "{" not in path or path.startswith(_OPEN):
                continue
            answer = await client.request(method, path.format(**ids), headers=headers)
            assert answer.status_code in {403, 404, 422}, f"{method} {path}: {answer.text[:200]}"
            assert "secret of theirs" not in answer.text
