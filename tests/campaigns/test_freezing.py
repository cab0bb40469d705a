"""Audiences: everybody once, or left out with the reason, whatever happens on the way."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select

from berrante.messaging.campaigns import Campaign, freezing
from berrante.messaging.campaigns.models import campaign_recipients
from berrante.messaging.contacts import consent
from berrante.messaging.contacts.models import contacts
from berrante.messaging.instances import Instances
from berrante.messaging.messages.models import messages
from berrante.messaging.queues import QueueName
from berrante.store import new_id
from tests.messaging.platform import Platform

NOW = datetime.now(UTC)


async def _contact(platform: Platform, number: int, **changes: Any) -> UUID:
    row = {
        "id": new_id(),
        "organization_id": platform.organization.id,
        "instance_id": "sales",
        "address": f"+55119990{number:05}",
        "name": f"Contact {number}",
        "first_seen_at": NOW - timedelta(days=2),
    } | changes
    async with platform.database.begin() as connection:
        await connection.execute(insert(contacts).values(row))
    return row["id"]  # type: ignore[return-value]


async def _make(platform: Platform, **changes: Any) -> Campaign:
    given = {"instance_id": "sales", "name": "X", "body": "Oi {{ first_name | default: 'você' }}"} | changes
    return await platform.campaigns.create(organization_id=platform.organization.id, **given)


async def _freeze(platform: Platform, campaign: Campaign) -> list[Any]:
    await platform.campaigns.start(platform.organization.id, campaign.id)
    tick = {
        "organizationId": str(platform.organization.id),
        "instanceId": campaign.instance_id,
        "campaignId": str(campaign.id),
    }
    current = campaign
    while current.frozen_at is None:
        await platform.handle(QueueName.CAMPAIGN, "tick", tick)
        found = await platform.campaigns.get(platform.organization.id, campaign.id)
        assert found is not None
        current = found
    query = select(campaign_recipients).where(campaign_recipients.c.campaign_id == campaign.id)
    async with platform.database.begin() as connection:
        return list((await connection.execute(query.order_by(campaign_recipients.c.position))).all())


async def test_each_exclusion_is_a_row_with_its_reason_and_the_preview_counts_the_same(platform: Platform) -> None:
    await Instances(platform.database).create(organization_id=platform.organization.id, id="other")
    await _contact(platform, 1)
    await _contact(platform, 2, consent="opted_out")
    await _contact(platform, 3, suppressed_at=NOW)
    await _contact(platform, 4, blocked_at=NOW)
    await _contact(platform, 5, address="123456789@lid", address_kind="lid")
    await _contact(platform, 6, address="erased-6", address_kind="erased", erased_at=NOW)
    await _contact(platform, 1, instance_id="other")  # the same person at another number
    recent = await _contact(platform, 7)
    async with platform.database.begin() as connection:
        message = {
            "id": new_id(),
            "organization_id": platform.organization.id,
            "instance_id": "sales",
            "contact_id": recent,
            "direction": "out",
            "origin": "campaign",
            "wire_id": "w",
            "status": "sent",
            "content": {},
            "priority": 5,
            "created_at": NOW - timedelta(days=1),
            "updated_at": NOW,
        }
        await connection.execute(insert(messages).values(message))
    campaign = await _make(platform, segment="everyone", rest_days=3)
    expected = {
        "planned": 1,
        "opted_out": 1,
        "suppressed": 1,
        "blocked": 1,
        "no_identity": 1,
        "erased": 1,
        "duplicate": 1,
        "frequency_cap": 1,
    }
    assert await platform.campaigns.audience(platform.organization.id, campaign.id) == expected

    rows = await _freeze(platform, campaign)

    assert Counter(row.reason or "planned" for row in rows) == expected
    assert [row.position for row in rows] == list(range(8))
    (kept,) = [row for row in rows if row.status != "excluded"]
    assert (kept.address, kept.instance_id, kept.params["name"]) == ("+5511999000001", "sales", "Contact 1")
    progress = await platform.campaigns.progress(platform.organization.id, campaign.id)
    assert progress.planned == 1
    assert progress.excluded == {reason: 1 for reason in expected if reason != "planned"}


@pytest.mark.parametrize("size", [1, 3, 100])
async def test_a_list_is_frozen_in_order_and_a_number_given_twice_is_written_to_once(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(freezing, "BATCH", size)
    monkeypatch.setattr(freezing.freeze_batch, "__kwdefaults__", {"size": size})
    known = await _contact(platform, 3, name="Ana", last_message_at=NOW)
    async with platform.database.begin() as connection:
        await consent.bar(
            connection, organization_id=platform.organization.id, address="+5511999000004", at=NOW
        )  # of a person who was erased, and whom a list brings back
    lines = ["+55 11 99900-0001", {"phone": "+5511999000003", "city": "Recife"}, "5511999000001", "+5511999000004"]
    campaign = await _make(platform, recipients=lines)

    rows = await _freeze(platform, campaign)

    assert [(row.address[-1], row.reason, row.contact_id, row.stranger) for row in rows] == [
        ("1", None, None, True),
        ("3", None, known, False),
        ("1", "duplicate", None, True),
        ("4", "opted_out", None, True),
    ]
    assert (rows[1].params["name"], rows[1].params["params"]) == ("Ana", {"city": "Recife"})


async def test_a_segment_takes_who_is_in_it_when_the_campaign_starts(platform: Platform) -> None:
    await _contact(platform, 1, tags=["vip"], fields={"city": "Recife"})
    await _contact(platform, 2, tags=["vip"], fields={"city": "Natal"})
    await _contact(platform, 3)
    await _contact(platform, 4, tags=["vip"], fields={"city": "Recife"}, first_seen_at=NOW + timedelta(days=1))
    campaign = await _make(platform, segment='tag("vip") and fields.city == "Recife"')
    assert [row.address[-1] for row in await _freeze(platform, campaign)] == ["1"]


async def test_numbers_and_variants_are_shared_out_and_who_knows_a_number_keeps_it(platform: Platform) -> None:
    await Instances(platform.database).create(organization_id=platform.organization.id, id="other")
    for number in range(10):
        await _contact(platform, number, instance_id="other")
    lines = [f"+55119990{number:05}" for number in range(200)]
    campaign = await _make(
        platform,
        instance_id={"sales": 3, "other": 1},
        recipients=lines,
        content={"variants": [{"name": "A", "text": "a"}, {"name": "B", "text": "b"}]},
        body=None,
    )
    rows = await _freeze(platform, campaign)
    assert {row.instance_id for row in rows[:10]} == {"other"}
    assert 110 < sum(row.instance_id == "sales" for row in rows) < 180
    assert 75 < sum(row.variant == "A" for row in rows) < 125
    assert all(row.variant == campaign.content.variant_of(row.address, salt=str(campaign.id)) for row in rows)
