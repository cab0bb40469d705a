"""Campaigns of files and templates by the API: checked when saved, previewed, tried out, and seen by the contacts."""

from typing import Any

from berrante.app import Application
from berrante.gateways.protocol import MediaContent, MediaKind, TemplateContent
from tests.app.process import client_of, working
from tests.campaigns.test_web import draft, tenant
from tests.waiting import until

MINE = "+5511999999999"


async def test_files_and_templates_are_previewed_tried_out_and_sent(application: Application) -> None:
    headers = await tenant(application, "shop")
    people = [f"+55119999900{number:02}" for number in range(8)]
    async with client_of(application) as client, working(application):
        picture = (
            await client.post("/v1/media", content=b"JPEG", headers={**headers, "Content-Type": "image/jpeg"})
        ).json()["id"]
        variants: list[dict[str, Any]] = [
            {"name": "F", "type": "media", "kind": "image", "media_id": picture, "caption": "{Oi|Oi} {{ phone }}"},
            {
                "name": "T",
                "type": "template",
                "template": "promo",
                "language": "pt_BR",
                "variables": {"1": "{{ params.coupon }}"},
            },
        ]
        made = await draft(
            client,
            headers,
            text=None,
            content={"variants": variants},
            recipients=[{"phone": each, "coupon": f"C{each[-1]}"} for each in people],
        )
        path = f"/v1/campaigns/{made['id']}"
        asked = {"phone": people[0], "params": {"coupon": "X7"}, "variant": "T"}
        shown = (await client.post(f"{path}/preview", json=asked, headers=headers)).json()
        assert shown["content"]["template"]["components"] == [{"place": "body", "parameters": [{"text": "X7"}]}]
        assert (await client.post(f"{path}/test", json={**asked, "to": MINE}, headers=headers)).status_code == 202
        await client.post(f"{path}/test", json={"to": MINE, "variant": "F"}, headers=headers)
        await client.post(f"{path}/start", headers=headers)

        async def all_seen() -> bool:
            counts = [len(application.simulator.ledger["shop", each]) for each in (*people, MINE)]
            return counts == [*([1] * len(people)), 2]

        await until(all_seen, timeout_s=30)
    for each in people:
        (seen,) = application.simulator.ledger["shop", each]
        match seen.content:
            case MediaContent(kind=MediaKind.IMAGE, caption=caption, stored=stored):
                assert (caption, (stored or "").endswith(picture)) == (f"Oi {each}", True)
            case TemplateContent(components=(body,)):
                assert [parameter.text for parameter in body.parameters] == [f"C{each[-1]}"]
            case other:
                raise AssertionError(other)
    tried = [type(seen.content) for seen in application.simulator.ledger["shop", MINE]]
    assert sorted(tried, key=str) == [MediaContent, TemplateContent]


async def test_a_file_that_was_never_uploaded_is_refused_when_it_is_saved(application: Application) -> None:
    headers = await tenant(application, "shop")
    content = {"type": "media", "kind": "image", "media_id": "a" * 64 + ".jpg"}
    async with client_of(application) as client:
        body = {"name": "X", "instance_id": "shop", "content": content, "recipients": [MINE]}
        answer = await client.post("/v1/campaigns", json=body, headers=headers)
        made = await draft(client, headers)
        changed = await client.patch(f"/v1/campaigns/{made['id']}", json={"content": content}, headers=headers)
    for each in (answer, changed):
        assert each.status_code == 422
        error = each.json()["error"]
        assert error["field"] == "content.variants[0].media_id"
        assert error["message"].endswith("upload it with POST /v1/media")
