"""An audience from a CSV file."""

import io
from typing import Any

import pytest

from berrante.messaging.campaigns.account import CampaignAccount
from berrante.messaging.campaigns.audience_file import take_file
from berrante.messaging.campaigns.campaign import Campaign
from berrante.messaging.errors import Invalid, WrongState
from berrante.messaging.queues import QueueName
from tests.messaging.platform import Platform
from tests.waiting import until

FILE = (
    b"\xef\xbb\xbfTelefone;Nome;Cupom Novo\r\n"
    b"(11) 99999-0001;Ana;X1\r\n"
    b"+5511999990002;Bia;'=X2\r\n"
    b"abc;Eva;X3\r\n"
    b"011 99999-0001;Ana;X4\r\n"
    b"\r\n"
)


async def _draft(platform: Platform, **given: Any) -> Campaign:
    text = "{{ params.name }}: {{ params.cupom_novo }}"
    return await platform.campaigns.create(
        organization_id=platform.organization.id, instance_id="sales", name="X", body=text, **given
    )


async def test_who_lacks_what_a_text_names_is_told_before_the_start(platform: Platform) -> None:
    organization_id = platform.organization.id
    people = [
        {"phone": "+5511999990001", "name": "Ana", "cupom_novo": "X1"},
        {"phone": "+5511999990002", "name": "Bia"},
    ]
    campaign = await _draft(platform, recipients=[*people, {"phone": "+5511999990003"}, "+5511999990001"])
    account = CampaignAccount(platform.database, platform.queues)
    assert await account.lacking(organization_id, campaign.id) == {"params.cupom_novo": 2, "params.name": 1}
    await platform.campaigns.update(organization_id, campaign.id, content="Oi {{ name }}")
    assert await account.lacking(organization_id, campaign.id) == {}
    await platform.campaigns.update(organization_id, campaign.id, content="Oi {{ fields.city }}")
    assert await account.lacking(organization_id, campaign.id) == {"fields.city": 3}


async def test_rows_are_recipients_with_their_parameters_and_bad_ones_are_excluded(platform: Platform) -> None:
    organization_id = platform.organization.id
    campaign = await _draft(platform, segment="everyone")
    with io.BytesIO(FILE) as source:
        for _ in range(2):  # the second takes the place of the first
            taken = await take_file(platform.database, organization_id, campaign.id, source, country="br")
    assert (taken.rows, taken.invalid, taken.parameters) == (4, 1, ("name", "cupom_novo"))
    assert await platform.campaigns.audience(organization_id, campaign.id) == {
        "planned": 2,
        "invalid_number": 1,
        "duplicate": 1,
    }
    copy = await platform.campaigns.duplicate(organization_id, campaign.id)
    assert (await platform.campaigns.audience(organization_id, copy.id))["invalid_number"] == 1

    await platform.campaigns.start(organization_id, campaign.id)
    tick = {"organizationId": str(organization_id), "instanceId": "sales", "campaignId": str(campaign.id)}

    async def both_are_written() -> bool:
        await platform.handle(QueueName.CAMPAIGN, "tick", tick)
        return len(await platform.outgoing()) == 2

    await until(both_are_written)
    account = CampaignAccount(platform.database, platform.queues)
    rows = await account.recipients(organization_id, campaign.id, status=None, after=None, limit=10)
    assert [(row.address, row.reason) for row in rows] == [
        ("+5511999990001", None),
        ("+5511999990002", None),
        ("abc", "invalid_number"),
        ("+5511999990001", "duplicate"),
    ]
    texts = {message.address: message.content["text"] for message in await platform.outgoing()}
    assert texts == {"+5511999990001": "Ana: X1", "+5511999990002": "Bia: =X2"}
    assert (await account.ledger(organization_id, campaign.id)).excluded == {"invalid_number": 1, "duplicate": 1}
    with pytest.raises(WrongState, match="draft or scheduled"), io.BytesIO(FILE) as source:
        await take_file(platform.database, organization_id, campaign.id, source)


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (b"name\nAna\n", "line 1: no column is called 'phone'"),
        (b"phone\n", "file has no rows"),
        (b"phone,consent\n+5511999990001,opted_in\n", "an audience opts nobody in: import the contacts"),
        (b"phone,x\n+5511999990001,a\n+5511999990002,a,b\n", "line 3: has 3 cells, the first line 2"),
        (b"phone,x\n+5511999990001," + b"a" * 1001 + b"\n", "line 2: has 1001 characters in 'x'"),
        (b"phone,x\n+5511999990001,Jos\xe9\n", "line 2: is not UTF-8"),
        (b'phone,x\n+5511999990001,"a', "line 2: begins a quoted cell that never ends"),
    ],
)
async def test_a_file_that_cannot_be_taken_changes_nothing(platform: Platform, file: bytes, problem: str) -> None:
    campaign = await _draft(platform, recipients=["+5511999990009"])
    with pytest.raises(Invalid, match=problem), io.BytesIO(file) as source:
        await take_file(platform.database, platform.organization.id, campaign.id, source)
    assert await platform.campaigns.audience(platform.organization.id, campaign.id) == {"planned": 1}


async def test_a_file_of_several_windows_is_taken_whole(platform: Platform) -> None:
    campaign = await _draft(platform)
    with pytest.raises(Invalid, match="audience is empty"):
        await platform.campaigns.start(platform.organization.id, campaign.id)
    lines = b"".join(b"+551199%07d,%s\n" % (9_000_000 + number, b"x" * 60) for number in range(12_000))
    with io.BytesIO(b"phone,note\n" + lines) as source:
        taken = await take_file(platform.database, platform.organization.id, campaign.id, source)
    assert (taken.rows, taken.invalid) == (12_000, 0)
    assert await platform.campaigns.audience(platform.organization.id, campaign.id) == {"planned": 12_000}
