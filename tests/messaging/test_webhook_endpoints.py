"""Endpoints: none in another's way, rested, disabled, rotated, tested; and another organization's out of reach."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import update

from berrante.engine import Snooze
from berrante.messaging.endpoints import Sender
from berrante.messaging.endpoints.models import webhook_endpoints
from berrante.messaging.endpoints.outcomes import find
from berrante.messaging.errors import Invalid, Missing, WrongState
from berrante.messaging.organizations import Organizations
from tests.messaging.hooks import (
    WEBHOOK,
    delivery_of,
    emitted,
    endpoint_at,
    enqueued,
    is_signed,
    log_of,
    try_once,
    until_status,
)
from tests.messaging.platform import Platform
from tests.messaging.receiver import receiving
from tests.waiting import until


async def test_a_dead_endpoint_delays_nobody(platform: Platform) -> None:
    platform.sender = Sender(allow_loopback=True, within_s=30)
    async with receiving() as dead, receiving() as live:
        dead.otherwise = asyncio.Event()  # takes connections, never answers
        silent = await endpoint_at(platform, dead.url)
        await endpoint_at(platform, live.url)
        platform.work(WEBHOOK, concurrency=10)
        told = [each for n in range(20) for each in await enqueued(platform, n=n)]
        healthy = [each for each in told if each.endpoint_id != silent.id]
        for each in healthy:
            await until_status(platform, each, "delivered")
        assert len(live.requests) == 20
        # Half the worker's places at most: the live one was never without.
        assert 1 <= len(dead.requests) <= 5
        dead.otherwise.set()
        dead.otherwise = 200


async def test_an_endpoint_that_failed_thrice_rests_uncharged_and_one_delivery_tries_it_out(platform: Platform) -> None:
    async with receiving() as receiver:
        endpoint = await endpoint_at(platform, receiver.url)
        receiver.otherwise = 500
        told = [each for n in range(5) for each in await emitted(platform, n=n)]
        for each in told[:3]:
            await try_once(platform, each)
        resting = await platform.endpoints.get(platform.organization.id, endpoint.id)
        assert resting.failures == 3
        assert resting.open_until is not None

        answer = await try_once(platform, told[3])
        assert isinstance(answer, Snooze)
        assert 25_000 <= answer.delay_ms <= 31_500
        assert len(receiver.requests) == 3
        assert (await delivery_of(platform, told[3])).attempts == 0

        platform.ahead_ms = 31_000
        receiver.otherwise = asyncio.Event()
        probe = asyncio.create_task(try_once(platform, told[3]))
        await until(lambda: len(receiver.requests) == 4)
        assert isinstance(await try_once(platform, told[4]), Snooze)  # one tries, the others wait for what it finds
        assert len(receiver.requests) == 4
        receiver.otherwise.set()
        assert await probe == {"status": "delivered", "code": 200}

        receiver.otherwise = 200
        assert await try_once(platform, told[4]) == {"status": "delivered", "code": 200}
        well = await platform.endpoints.get(platform.organization.id, endpoint.id)
    assert (well.failures, well.failing_since, well.open_until) == (0, None, None)


async def test_an_endpoint_that_fails_for_days_is_disabled_and_the_others_are_told(platform: Platform) -> None:
    async with receiving() as receiver, receiving() as other:
        endpoint = await endpoint_at(platform, receiver.url, "campaign.*")
        watcher = await endpoint_at(platform, other.url, "webhook.disabled")
        receiver.otherwise = 500
        first, second = [each for n in range(2) for each in await emitted(platform, n=n)]
        async with platform.database.begin() as connection:
            since = datetime.now(UTC) - timedelta(days=3)
            ill = update(webhook_endpoints).where(webhook_endpoints.c.id == endpoint.id)
            await connection.execute(ill.values(failures=40, failing_since=since))
        answer = await try_once(platform, first)
        assert answer["status"] == "failed"
        assert "for 3 days, 41 in a row" in answer["disabled"]
        disabled = await platform.endpoints.get(platform.organization.id, endpoint.id)
        assert disabled.disabled_at is not None
        assert disabled.disabled_reason == answer["disabled"]
        assert await try_once(platform, second) == {"status": "skipped"}
        assert len(receiver.requests) == 1
        assert await emitted(platform) == []

        (notice,) = await log_of(platform, watcher)
        assert json.loads(notice.body)["data"]["webhook_id"] == str(endpoint.id)
        platform.work(WEBHOOK)
        await until(lambda: other.requests)

        with pytest.raises(WrongState, match="disabled"):
            await platform.deliveries.replay(platform.organization.id, endpoint.id, second.delivery_id)
        with pytest.raises(WrongState, match="disabled"):
            await platform.endpoints.ping(platform.organization.id, endpoint.id)
        enabled = await platform.endpoints.change(platform.organization.id, endpoint.id, enabled=True)
        assert (enabled.disabled_at, enabled.failures, enabled.failing_since) == (None, 0, None)
        receiver.otherwise = 200
        await platform.deliveries.replay(platform.organization.id, endpoint.id, second.delivery_id)
        await until_status(platform, second, "delivered")


async def test_during_a_rotation_both_secrets_sign_and_afterwards_the_new_one(platform: Platform) -> None:
    async with receiving() as receiver:
        old = await endpoint_at(platform, receiver.url)
        new = await platform.endpoints.rotate_secret(platform.organization.id, old.id, overlap_s=60)
        assert new.secret != old.secret
        (first,) = await emitted(platform)
        await try_once(platform, first)
        assert is_signed(receiver, new.secret, old.secret)

        platform.ahead_ms = 61_000
        (second,) = await emitted(platform)
        await try_once(platform, second)
        assert is_signed(receiver, new.secret)

        at_once = await platform.endpoints.rotate_secret(platform.organization.id, old.id, overlap_s=0)
        (third,) = await emitted(platform)
        await try_once(platform, third)
        assert is_signed(receiver, at_once.secret)
        with pytest.raises(Invalid, match="overlap_s"):
            await platform.endpoints.rotate_secret(platform.organization.id, old.id, overlap_s=-1)


async def test_a_test_is_delivered_whatever_the_endpoint_asked_for(platform: Platform) -> None:
    async with receiving() as receiver:
        endpoint = await endpoint_at(platform, receiver.url, "campaign.started")
        platform.work(WEBHOOK)
        await platform.endpoints.ping(platform.organization.id, endpoint.id)
        await until(lambda: receiver.requests)
    assert json.loads(receiver.requests[0].body)["type"] == "webhook.test"


async def test_another_organizations_endpoints_and_deliveries_are_out_of_reach(platform: Platform) -> None:
    endpoint = await endpoint_at(platform, "http://127.0.0.1:9/")
    (told,) = await emitted(platform)
    stranger = (await Organizations(platform.database).create("Stranger")).id
    own = await platform.endpoints.create(organization_id=stranger, url="http://127.0.0.1:9/", events=["*"])
    endpoints, deliveries = platform.endpoints, platform.deliveries
    for attempt in (
        endpoints.get(stranger, endpoint.id),
        endpoints.change(stranger, endpoint.id, enabled=False),
        endpoints.delete(stranger, endpoint.id),
        endpoints.rotate_secret(stranger, endpoint.id, overlap_s=0),
        endpoints.ping(stranger, endpoint.id),
        deliveries.list(stranger, endpoint.id),
        deliveries.get(stranger, endpoint.id, told.delivery_id),
        deliveries.get(stranger, own.id, told.delivery_id),
        deliveries.replay(stranger, endpoint.id, told.delivery_id),
        deliveries.replay(stranger, own.id, told.delivery_id),
    ):
        with pytest.raises(Missing):
            await attempt
    async with platform.database.begin() as connection:
        due = await find(connection, told.delivery_id)
    assert due is not None
    assert (due.keys(datetime.now(UTC)), due.disabled_reason) == ([endpoint.secret], None)


async def test_an_endpoint_that_is_deleted_takes_its_deliveries_with_it(platform: Platform) -> None:
    endpoint = await endpoint_at(platform, "http://127.0.0.1:9/")
    (told,) = await emitted(platform)
    await platform.endpoints.delete(platform.organization.id, endpoint.id)
    assert await platform.count("webhook_deliveries") == 0
    assert await try_once(platform, told) == {"status": "gone"}


async def test_an_organization_has_a_bounded_number_of_endpoints(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("berrante.messaging.endpoints.service.MOST", 2)
    id_ = uuid4()
    for _ in range(2):  # made twice under one id, it is one
        first = await platform.endpoints.create(
            organization_id=platform.organization.id, url="http://127.0.0.1:9/", events=["*"], endpoint_id=id_
        )
    assert first.id == id_
    await endpoint_at(platform, "http://127.0.0.1:9/")
    with pytest.raises(Invalid, match="2 already"):
        await endpoint_at(platform, "http://127.0.0.1:9/")
