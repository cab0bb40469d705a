"""The services that the web side and the commands call: what they promise, and that tenants never meet."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from berrante.messaging.api_keys import ApiKeys
from berrante.messaging.errors import Invalid, Missing, Taken
from berrante.messaging.instances import Instance, Instances, InstanceSettings
from berrante.messaging.organizations import Organizations
from berrante.messaging.people import People
from berrante.messaging.tables import api_keys, people
from berrante.messaging.webhooks import WebhookUnknowns
from berrante.store import Database
from tests.messaging.platform import Platform


async def test_an_organization_is_found_by_id_and_by_name(database: Database) -> None:
    organizations = Organizations(database)
    acme, second = await organizations.create("  Acme "), await organizations.create("Acme")

    assert acme.name == "Acme"
    assert await organizations.get(acme.id) == acme
    assert await organizations.find("Acme") == acme
    assert await organizations.list() == [acme, second]
    assert await organizations.get(uuid4()) is None
    assert await organizations.find("acme\0") is None


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "two\nlines", "nul\0"])
async def test_a_name_is_one_printable_line(database: Database, name: str) -> None:
    with pytest.raises(Invalid, match="name") as caught:
        await Organizations(database).create(name)
    assert isinstance(caught.value, ValueError)


async def test_the_owner_is_made_once_whoever_asks(database: Database) -> None:
    made = await asyncio.gather(*(People(database).ensure_owner("Owner@Example.com", "long enough") for _ in range(4)))

    assert sorted(made) == [False, False, False, True]
    assert await People(database).ensure_owner("owner@example.com", "another password") is False
    owner = await People(database).verify(" OWNER@example.com", "long enough")
    assert owner is not None
    assert (owner.email, owner.role, owner.organization_id) == ("owner@example.com", "owner", None)
    assert owner.last_login_at is not None


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("owner@example.com", "wrong password"),
        ("owner@example.com", ""),
        ("owner@example.com", "x" * 2_000),
        ("nobody@example.com", "long enough"),
        ("\0", "\0\ud800"),
    ],
)
async def test_a_wrong_password_and_an_unknown_address_are_both_nobody(
    database: Database, email: str, password: str
) -> None:
    await People(database).ensure_owner("owner@example.com", "long enough")
    assert await People(database).verify(email, password) is None


async def test_a_password_is_stored_as_argon2_alone(database: Database) -> None:
    await People(database).ensure_owner("owner@example.com", "long enough")
    async with database.begin() as connection:
        (row,) = (await connection.execute(select(people))).all()
    assert row.password_hash.startswith("$argon2id$")


@pytest.mark.parametrize(
    ("email", "password", "field"), [("owner", "long enough", "email"), ("a@b", "short", "password")]
)
async def test_an_owner_needs_an_address_and_a_password(
    database: Database, email: str, password: str, field: str
) -> None:
    with pytest.raises(Invalid, match=field):
        await People(database).ensure_owner(email, password)


async def test_a_key_opens_its_organization_until_it_is_revoked(platform: Platform) -> None:
    keys = ApiKeys(platform.database)
    key, secret = await keys.issue(platform.organization.id, "CI")

    assert secret.startswith("brt_live_")
    assert secret.startswith(key.prefix)
    # The answer is the key before this use, which is noted.
    assert await keys.verify(secret) == key
    key = await keys.get(platform.organization.id, key.id)
    assert key is not None
    assert key.last_used_at is not None
    assert await keys.verify(secret[:-1]) is None
    assert await keys.verify("\ud800") is None
    assert await keys.list(platform.organization.id) == [key]
    assert await keys.revoke(uuid4(), key.id) is False
    assert await keys.verify(secret) == key

    assert await keys.revoke(platform.organization.id, key.id) is True
    assert await keys.revoke(platform.organization.id, key.id) is False
    assert await keys.verify(secret) is None


async def test_no_row_holds_a_secret(platform: Platform) -> None:
    _, secret = await ApiKeys(platform.database).issue(platform.organization.id, "CI")
    async with platform.database.begin() as connection:
        (row,) = (await connection.execute(select(api_keys))).all()
    assert not [value for value in row if secret in str(value)]


async def test_a_chosen_secret_is_one_key_of_one_organization(platform: Platform) -> None:
    keys, secret = ApiKeys(platform.database), "brt_live_demo-demo-demo-demo"
    first = await keys.issue(platform.organization.id, "demo", secret)
    other = await Organizations(platform.database).create("Other")

    assert await keys.issue(platform.organization.id, "demo", secret) == first
    with pytest.raises(Taken):
        await keys.issue(other.id, "demo", secret)
    with pytest.raises(Invalid, match="secret is malformed"):
        await keys.issue(other.id, "demo", "brt_live_short")
    await keys.revoke(platform.organization.id, first[0].id)
    with pytest.raises(Taken):
        await keys.issue(platform.organization.id, "demo", secret)


async def test_an_instance_is_its_organizations_alone(platform: Platform) -> None:
    instances = Instances(platform.database)
    other = await Organizations(platform.database).create("Other")
    drawn = await instances.create(organization_id=other.id)

    assert await instances.get("sales") == platform.instance
    assert await instances.find(platform.organization.id, "sales") == platform.instance
    assert await instances.find(other.id, "sales") is None
    assert await instances.list(other.id) == [drawn]
    assert await instances.get("a\0") is None
    with pytest.raises(Taken, match="instance 'sales' exists already"):
        await instances.create(organization_id=other.id, id="sales")
    with pytest.raises(Missing, match="no such organization"):
        await instances.create(organization_id=uuid4(), id="orphan")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"id": ""}, "id is ''"),
        ({"id": "Sales"}, "id is 'Sales'"),
        ({"id": "a:b"}, "id is 'a:b'"),
        ({"id": "x" * 41}, "id is 'x"),
        ({"gateway": "pigeon"}, "gateway is 'pigeon'"),
        ({"gateway": "cloud"}, "phone_number_id is empty"),
        ({"gateway": "cloud", "phone_number_id": "1", "app_secret": "s"}, "verify_token is empty"),
    ],
)
async def test_a_malformed_instance_is_refused_with_the_remedy(
    platform: Platform, change: dict[str, Any], problem: str
) -> None:
    with pytest.raises(Invalid, match=problem):
        await Instances(platform.database).create(organization_id=platform.organization.id, **change)


async def test_a_cloud_instance_does_not_show_its_secrets(platform: Platform) -> None:
    made = await Instances(platform.database).create(
        organization_id=platform.organization.id,
        id="cloud",
        gateway="cloud",
        phone_number_id="123",
        app_secret="hush",
        verify_token="psst",
        settings={"token": "quiet"},
    )
    found = await Instances(platform.database).get("cloud")

    assert found == made
    assert found is not None
    assert (found.app_secret, found.verify_token, found.settings) == ("hush", "psst", {"token": "quiet"})
    assert not [word for word in ("hush", "psst", "quiet") if word in repr(found)]


async def test_messages_are_paged_newest_first(platform: Platform) -> None:
    ids = [await platform.queued_message(f"number {number}") for number in range(5)]
    organization_id = platform.organization.id

    first = await platform.messages.list(organization_id, limit=2)
    rest = await platform.messages.list(organization_id, limit=10, before=first[-1].id)
    assert [message.id for message in [*first, *rest]] == ids[::-1]
    assert len(await platform.messages.list(organization_id, instance_id="sales")) == 5
    assert await platform.messages.list(organization_id, instance_id="support") == []
    assert await platform.messages.list(organization_id, instance_id="\0") == []
    with pytest.raises(Invalid, match="limit is 0"):
        await platform.messages.list(organization_id, limit=0)


async def test_another_tenants_messages_are_not_there(platform: Platform) -> None:
    message_id = await platform.queued_message()
    other = await Organizations(platform.database).create("Other")

    assert await platform.messages.get(other.id, message_id) is None
    assert await platform.messages.list(other.id) == []
    assert await platform.messages.list(other.id, instance_id="sales") == []


async def test_unknown_webhooks_are_counted_by_all_at_once(platform: Platform) -> None:
    unknowns = WebhookUnknowns(platform.database)
    organization_id = platform.organization.id
    forwards, backwards = {"calls": 1, "flows": 2}, {"flows": 2, "calls": 1}
    long = {"x" * 300: 1, "x" * 301: 1, "nul\0": 1, "none": 0}

    await asyncio.gather(
        *(unknowns.count(organization_id, "sales", kinds) for kinds in [forwards, backwards] * 5),
        unknowns.count(organization_id, "sales", long),
        unknowns.count(organization_id, "sales", {}),
    )

    counts = await unknowns.list(organization_id, "sales")
    assert counts == {"calls": 10, "flows": 20, "x" * 200: 2, "nul�": 1}
    other = await Organizations(platform.database).create("Other")
    assert await unknowns.list(other.id, "sales") == {}


async def test_an_instances_settings_are_changed_key_by_key_and_told(platform: Platform) -> None:
    told: list[tuple[str, InstanceSettings]] = []

    async def hook(instance: Instance, settings: InstanceSettings) -> None:
        told.append((instance.id, settings))

    service = Instances(platform.database, on_settings=hook)
    ours = platform.organization.id
    await service.update(ours, "sales", settings={"pace": {"rate": {"max": 2, "per_ms": 1_500}}})
    changed = await service.update(ours, "sales", display_number="+551140000000", settings={"paused": True})
    assert changed.configuration == InstanceSettings(rate_max=2, rate_per_ms=1_500, paused=True)
    assert changed.display_number == "+551140000000"
    assert told[-1] == ("sales", changed.configuration)
    assert await service.list_all() == [changed]
    with pytest.raises(Invalid, match=r"pace\.jitter"):
        await service.update(ours, "sales", settings={"pace": {"jitter": 2}})
    assert len(told) == 2


async def test_two_changes_at_once_are_both_kept(platform: Platform) -> None:
    service, ours = Instances(platform.database), platform.organization.id
    await asyncio.gather(
        service.update(ours, "sales", settings={"paused": True}),
        service.update(ours, "sales", settings={"pace": {"jitter": 0.5}}),
    )
    (found,) = await service.list_all()
    assert found.configuration == InstanceSettings(jitter=0.5, paused=True)


async def test_another_organizations_instance_cannot_be_changed(platform: Platform) -> None:
    other = await Organizations(platform.database).create("Other")
    for instance_id in ("sales", "nobody", "a:b"):
        with pytest.raises(Missing):
            await Instances(platform.database).update(other.id, instance_id, settings={"paused": True})
