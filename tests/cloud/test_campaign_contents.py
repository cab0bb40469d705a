"""Campaigns of files and of WhatsApp templates, by a number of the Cloud API."""

from typing import Any
from uuid import UUID

from tests.app.process import working
from tests.cloud.rules import CONTACT
from tests.cloud.shop import Shop, wrote
from tests.waiting import until

STRANGER = str(int(CONTACT) + 1)


async def _ran(shop: Shop, content: dict[str, Any]) -> UUID:
    """Run a campaign for one contact whose window is open and a stranger, until it is over; return its id."""
    campaigns = shop.application.campaigns
    made = await campaigns.create(
        organization_id=shop.organization_id,
        instance_id="shop",
        name="Launch",
        content=content,
        recipients=[{"phone": f"+{each}", "order": each[-1]} for each in (CONTACT, STRANGER)],
    )
    await campaigns.start(shop.organization_id, made.id)

    async def finished() -> bool:
        found = await campaigns.get(shop.organization_id, made.id)
        return found is not None and found.status == "finished"

    await until(finished, timeout_s=30)
    return made.id


async def test_a_template_with_parameters_reaches_who_never_wrote(shop: Shop) -> None:
    picture = await shop.application.media.put(shop.organization_id, b"JPEG", mime_type="image/jpeg")
    content = {
        "type": "template",
        "template": "order_sent",
        "language": "pt_BR",
        "header": {"kind": "image", "media_id": picture.reference.partition("/")[2]},
        "variables": {"1": "{{ first_name | default: 'você' }}", "2": "{{ params.order }}"},
        "buttons": [{"index": 0, "kind": "url", "value": "orders/{{ params.order }}"}],
    }
    async with working(shop.application):
        await wrote(shop)
        campaign_id = await _ran(shop, content)
    ledger = await shop.application.campaign_account.ledger(shop.organization_id, campaign_id)
    assert (ledger.sent, ledger.is_clean) == (2, True)
    for contact, name in ((CONTACT, "Ana"), (STRANGER, "você")):
        (seen,) = shop.seen(contact)
        assert (seen.type, seen.content["name"], seen.content["language"]) == (
            "template",
            "order_sent",
            {"code": "pt_BR"},
        )
        header, body, button = seen.content["components"]
        assert shop.fake.world.files[header["parameters"][0]["image"]["id"]].data == b"JPEG"
        assert [each["text"] for each in body["parameters"]] == [name, contact[-1]]
        assert button["parameters"][0]["text"] == f"orders/{contact[-1]}"


async def test_a_file_goes_to_whoever_wrote_and_the_ledger_says_why_not_to_others(shop: Shop) -> None:
    content = {
        "type": "media",
        "kind": "document",
        "url": "https://shop.example/{{ params.order }}.pdf",
        "filename": "order.pdf",
        "caption": "Oi",
    }
    async with working(shop.application):
        await wrote(shop)
        campaign_id = await _ran(shop, content)
    (seen,) = shop.seen()
    assert seen.content == {"link": "https://shop.example/1.pdf", "filename": "order.pdf", "caption": "Oi"}
    assert shop.seen(STRANGER) == []
    ledger = await shop.application.campaign_account.ledger(shop.organization_id, campaign_id)
    (cause,) = ledger.causes
    assert (cause.status, cause.code, cause.count) == ("failed", "131047", 1)
    assert cause.reason.endswith("send an approved template instead")
