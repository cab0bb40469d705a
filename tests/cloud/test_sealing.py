"""Secrets of the days before: sealed once there is a key, and again when the key changes."""

import asyncio
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from berrante.app.encryption import cipher_of
from berrante.engine import Connection, Snooze, State
from berrante.engine.connection import system_clock
from berrante.messaging.cloud_numbers import CloudNumbers
from berrante.messaging.endpoints import Deliveries, Endpoints, EventType, Sender, emit
from berrante.messaging.endpoints.handler import WebhookHandler
from berrante.messaging.endpoints.outcomes import find
from berrante.messaging.instances import Instances
from berrante.messaging.instances.sealing import Sealing, seal_all
from berrante.messaging.organizations import Organizations
from berrante.messaging.queues import open_queues
from berrante.settings import load
from berrante.store import Cipher, Database, KeyMissing
from berrante.store.encryption import KeyMalformed, new_key

OLD, NEW = bytes(32), bytes([1] * 32)


async def raw(database: Database) -> list[str]:
    async with database.begin() as connection:
        return list((await connection.execute(text("SELECT app_secret FROM instances ORDER BY id"))).scalars())


async def plain_instance(database: Database) -> None:
    organization = await Organizations(database).create("Acme")
    await Instances(database).create(organization_id=organization.id, id="shop", app_secret="hush")


async def test_plain_secrets_are_sealed_once_and_sealed_again_with_a_new_key(database_url: str) -> None:
    bare, old = Database(database_url), Database(database_url, cipher=Cipher([OLD]))
    both = Database(database_url, cipher=Cipher([NEW, OLD]))
    await plain_instance(bare)
    assert await raw(bare) == ["hush"]
    assert await seal_all(bare) == Sealing()

    done = await asyncio.gather(*(seal_all(old) for _ in range(4)))
    assert sum(each.sealed for each in done) == 1
    assert (await raw(bare))[0].startswith("enc:1:")
    assert await seal_all(old) == Sealing()
    before = await raw(bare)
    assert await seal_all(both) == Sealing(sealed=1)
    assert await raw(bare) != before

    found = await Instances(both).get("shop")
    assert found is not None
    assert found.app_secret == "hush"
    with pytest.raises(KeyMissing):
        await Instances(old).get("shop")
    assert await seal_all(old) == Sealing(unreadable=1)
    for database in (bare, old, both):
        await database.close()


async def test_endpoints_secrets_are_sealed_and_sealed_again_and_still_sign(
    database_url: str, connection: Connection, prefix: str
) -> None:
    queues = open_queues(connection, prefix=prefix)
    bare, old = Database(database_url), Database(database_url, cipher=Cipher([OLD]))
    both = Database(database_url, cipher=Cipher([NEW, OLD]))
    organization_id = (await Organizations(bare).create("Acme")).id
    hook = {"organization_id": organization_id, "url": "https://example.com/hooks", "events": ["*"]}
    plain = await Endpoints(bare, queues).create(**hook)
    assert await _stored(bare) == [plain.secret]
    assert await seal_all(old) == Sealing(sealed=1)
    rotated = await Endpoints(old, queues).rotate_secret(organization_id, plain.id, overlap_s=60)
    assert [each[:6] for each in await _stored(bare)] == ["enc:1:", "enc:1:"]
    assert await seal_all(old) == Sealing()
    assert await seal_all(both) == Sealing(sealed=2)

    async with both.begin() as transaction:
        (told,) = await emit(transaction, organization_id, EventType.WEBHOOK_TEST, {})
        due = await find(transaction, told.delivery_id)
    assert due is not None
    assert due.keys(datetime.now(UTC)) == [rotated.secret, plain.secret]
    for database in (bare, old, both):
        await database.close()


async def test_a_worker_without_the_key_leaves_deliveries_to_one_that_has_it(
    database_url: str, connection: Connection, prefix: str
) -> None:
    queues = open_queues(connection, prefix=prefix)
    bare, sealing = Database(database_url), Database(database_url, cipher=Cipher([NEW]))
    organization_id = (await Organizations(bare).create("Acme")).id
    made = await Endpoints(sealing, queues).create(
        organization_id=organization_id, url="https://example.com/hooks", events=["*"]
    )
    endpoints, deliveries = Endpoints(bare, queues), Deliveries(bare, queues)
    assert [each.id for each in await endpoints.list(organization_id)] == [made.id]
    delivery_id = await endpoints.ping(organization_id, made.id)
    (job,) = await queues.webhook.jobs([State.WAITING])

    later = await WebhookHandler(database=bare, queues=queues, sender=Sender(), clock=system_clock)(job)

    assert isinstance(later, Snooze)
    delivery = await deliveries.get(organization_id, made.id, delivery_id)
    assert (delivery.status, delivery.attempts) == ("pending", 0)
    assert "set BERRANTE_ENCRYPTION_KEY" in (delivery.error or "")
    assert (await endpoints.get(organization_id, made.id)).failures == 0
    for database in (bare, sealing):
        await database.close()


async def _stored(database: Database) -> list[str]:
    query = text("SELECT secret, previous_secret FROM webhook_endpoints")
    async with database.begin() as connection:
        return [secret for row in await connection.execute(query) for secret in row if secret is not None]


async def test_without_a_key_a_number_gets_no_token(database_url: str, connection: Connection, prefix: str) -> None:
    bare = Database(database_url)
    organization = await Organizations(bare).create("Acme")
    await Instances(bare).create(
        organization_id=organization.id,
        id="shop",
        gateway="cloud",
        phone_number_id="1",
        app_secret="a",
        verify_token="v",
    )
    with pytest.raises(KeyMissing, match="set BERRANTE_ENCRYPTION_KEY"):
        await CloudNumbers(bare, open_queues(connection, prefix=prefix), clock=lambda: 1_800_000_000_000).connect(
            organization_id=organization.id, instance_id="shop", access_token="EAAtoken"
        )
    await bare.close()


def test_an_embedded_database_has_a_key_beside_it_that_stays(tmp_path: Path) -> None:
    settings = load(data_dir=tmp_path / "data")
    first, second = cipher_of(settings), cipher_of(settings)
    assert first is not None
    assert second is not None
    assert first.current == second.current
    (file,) = (tmp_path / "data").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_another_database_has_the_key_that_is_configured_or_none(tmp_path: Path) -> None:
    settings = load(data_dir=tmp_path, database_url="postgresql://nowhere/x")
    assert cipher_of(settings) is None
    assert list(tmp_path.iterdir()) == []
    assert cipher_of(settings.model_copy(update={"encryption_key": SecretStr(new_key())})) is not None
    with pytest.raises(KeyMalformed):
        cipher_of(settings.model_copy(update={"encryption_key": SecretStr("short")}))
