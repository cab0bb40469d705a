"""GET /v1/messages: whose key it is decides what is seen."""

import pytest

from berrante.app import Application
from tests.app.process import client_of, settings_for, working
from tests.conftest import OwnServer
from tests.waiting import until


async def _tenant(application: Application, instance_id: str) -> tuple[str, object]:
    organization = await application.organizations.create(f"Org of {instance_id}")
    await application.instances.create(organization_id=organization.id, id=instance_id)
    _, secret = await application.api_keys.issue(organization.id, "test")
    return secret, organization.id


async def _fill(application: Application, organization_id: object, instance_id: str, texts: list[str]) -> None:
    """Have a contact write the texts one after the other, so that their order is known."""
    async with working(application):
        for number, text in enumerate(texts, 1):
            application.simulator.write(
                organization_id=organization_id, instance_id=instance_id, sender="+5511987654321", text=text
            )

            async def is_stored(number: int = number) -> bool:
                return len(await application.messages.list(organization_id, instance_id=instance_id)) == number

            await until(is_stored)


async def test_messages_are_listed_newest_first_and_page_by_page(application: Application) -> None:
    secret, organization_id = await _tenant(application, "pages")
    await _fill(application, organization_id, "pages", ["one", "two", "three"])
    headers = {"Authorization": f"Bearer {secret}"}
    async with client_of(application) as client:
        first = (await client.get("/v1/messages", params={"limit": 2}, headers=headers)).json()
        rest = (await client.get("/v1/messages", params={"before": first["next"]}, headers=headers)).json()
    assert [message["content"]["text"] for message in first["data"]] == ["three", "two"]
    assert [message["content"]["text"] for message in rest["data"]] == ["one"]
    assert rest["next"] is None
    message = rest["data"][0]
    assert (message["direction"], message["status"], message["address"]) == ("in", "received", "+5511987654321")


async def test_a_key_opens_its_own_organization_alone(application: Application) -> None:
    _, first = await _tenant(application, "first")
    secret, _ = await _tenant(application, "second")
    await _fill(application, first, "first", ["private"])
    async with client_of(application) as client:
        for params in ({}, {"instance_id": "first"}):
            answer = await client.get("/v1/messages", params=params, headers={"X-API-Key": secret})
            assert answer.json() == {"data": [], "next": None}


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer brt_live_unknown"}, {"X-API-Key": "x"}, {"Authorization": "Basic eDp5"}]
)
async def test_without_a_key_that_opens_something_it_is_401(application: Application, headers: dict[str, str]) -> None:
    async with client_of(application) as client:
        answer = await client.get("/v1/messages", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json()["error"]["code"] == "unauthorized"


async def test_a_revoked_key_opens_nothing(application: Application) -> None:
    secret, organization_id = await _tenant(application, "revoked")
    (key,) = await application.api_keys.list(organization_id)
    await application.api_keys.revoke(organization_id, key.id)
    async with client_of(application) as client:
        assert (await client.get("/v1/messages", headers={"X-API-Key": secret})).status_code == 401


@pytest.mark.parametrize(
    ("params", "field"), [({"limit": 0}, "limit"), ({"limit": 201}, "limit"), ({"before": "x"}, "before")]
)
async def test_a_malformed_parameter_is_422_and_named(
    application: Application, params: dict[str, str], field: str
) -> None:
    secret, _ = await _tenant(application, "malformed")
    async with client_of(application) as client:
        answer = await client.get("/v1/messages", params=params, headers={"X-API-Key": secret})
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == field


async def test_a_database_that_is_away_is_503_and_says_when_to_come_back(
    own_postgres: OwnServer, redis_url: str, prefix: str
) -> None:
    settings = settings_for(redis_url=redis_url, database_url=own_postgres.url, prefix=prefix)
    async with Application.open(settings, migrating=True) as application, client_of(application) as client:
        await own_postgres.stop()
        answer = await client.get("/v1/messages", headers={"X-API-Key": "brt_live_whatever"})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert answer.json()["error"]["code"] == "unavailable"
