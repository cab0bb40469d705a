"""The Cloud API gateway against the stand-in Graph, over real connections."""

import asyncio
from dataclasses import replace

import httpx
import pytest

from berrante.fakes.graph import Fault
from berrante.gateways.cloud import CloudGateway, CloudNumber, Graph
from berrante.gateways.media import MediaUnavailable
from berrante.gateways.protocol import (
    Gateway,
    InDoubt,
    MediaContent,
    MediaKind,
    ReactionContent,
    SendError,
    TextContent,
)
from berrante.gateways.refusals import REFUSALS
from tests.cloud.conftest import CONTACT, NUMBER, ORGANIZATION, TOKEN
from tests.gateways.every_content import EVERY_CONTENT


async def test_a_message_is_seen_and_carries_the_wire_id(gateway, fake, message):
    cloud: Gateway = gateway
    accepted = await cloud.send(replace(message(), reply_to="wamid.asked"))

    (seen,) = fake.world.seen(NUMBER, CONTACT)
    assert (seen.id, seen.wire_id, seen.reply_to) == (accepted.provider_id, message().wire_id, "wamid.asked")
    assert (seen.type, seen.content["body"]) == ("text", "Hello")


@pytest.mark.parametrize("content", EVERY_CONTENT, ids=lambda content: content.type)
async def test_content_of_every_kind_is_taken(gateway, fake, store, message, content):
    if isinstance(content, MediaContent) and content.stored:
        stored = await store.put(ORGANIZATION, b"OggS", mime_type="audio/ogg; codecs=opus")
        content = MediaContent(kind=MediaKind.AUDIO, stored=stored.reference)
    await gateway.send(message(content))
    (seen,) = fake.world.seen(NUMBER, CONTACT)
    assert seen.content


async def test_parts_are_written_as_meta_reads_them(gateway, fake, message):
    for content in EVERY_CONTENT:
        if not (isinstance(content, MediaContent) and content.stored):
            await gateway.send(message(content))
    by_type: dict = {}
    for body in fake.requests:
        by_type.setdefault(body["type"], []).append(body[body["type"]])

    header, filled, button = by_type["template"][0]["components"]
    assert header["parameters"] == [{"type": "image", "image": {"link": "https://shop.example/shoe.jpg"}}]
    assert filled["parameters"][1] == {"type": "text", "text": "42", "parameter_name": "price"}
    assert (button["type"], button["sub_type"], button["index"]) == ("button", "url", "0")
    assert by_type["template"][0]["language"] == {"code": "pt_BR"}
    buttons, choices = by_type["interactive"]
    assert buttons["action"]["buttons"][0] == {"type": "reply", "reply": {"id": "yes", "title": "Yes"}}
    assert buttons["header"]["image"] == {"link": "https://shop.example/shoe.jpg"}
    assert choices["action"]["sections"][0]["rows"][1] == {"id": "s37", "title": "37", "description": "last"}
    assert by_type["contacts"][0][0]["name"] == {"formatted_name": "Ana Souza", "first_name": "Ana"}
    assert by_type["reaction"] == [
        {"message_id": "wamid.HBgN", "emoji": "👍"},
        {"message_id": "wamid.HBgN", "emoji": ""},
    ]


async def test_a_reaction_answers_no_message_of_its_own(gateway, fake, message):
    await gateway.send(replace(message(ReactionContent(message_id="wamid.1", emoji="👍")), reply_to="wamid.1"))
    assert "context" not in fake.requests[0]


async def test_a_contact_that_hides_the_number_is_written_to_by_user_id(gateway, fake, message):
    await gateway.send(message(to="BR.13491208655302741918"))
    assert (fake.requests[0]["recipient"], "to" in fake.requests[0]) == ("BR.13491208655302741918", False)


#: Written from the rules and not from the code that is tested: scope and action of every code that is known.
TABLE = {
    ("message", "retry"): "1 2 131000 131016 131053 132069",
    ("message", "drop"): "100 131008 131009 131051 131052 132000 132005 132012 132018 132068",
    ("recipient", "retry"): "131049 131056",
    ("recipient", "suppress"): "131050",
    ("recipient", "drop"): "131021 131026 131047 131062 130472 130497",
    ("template", "hold"): "132015",
    ("template", "drop"): "132001 132007 132016",
    ("number", "hold"): "130429 131037 131045 131048 133010 133016",
    ("number", "retry"): "131057",
    ("number", "drop"): "33",
    ("account", "hold"): "0 3 4 10 190 368 80007 131005 131031 131042",
}
CODES = {code: of for of, codes in TABLE.items() for code in codes.split()}


def test_the_table_leaves_no_code_out():
    assert set(CODES) == set(REFUSALS)


@pytest.mark.parametrize("code", sorted(CODES, key=int))
async def test_every_refusal_has_its_scope_and_action(gateway, fake, message, code):
    fake.fail_next(int(code))
    with pytest.raises(SendError) as raised:
        await gateway.send(message())
    error = raised.value
    assert (error.scope, error.action, error.code) == (*CODES[code], code)
    assert error.campaigns_only is (code in {"131048", "131049", "132001", "132007", "132016"})
    assert error.too_fast is (code == "130429")
    assert f"(#{code})" in str(error)
    assert fake.world.seen(NUMBER, CONTACT) == []


@pytest.mark.parametrize(
    ("code", "scope", "action"),
    [(204, "account", "hold"), (133_005, "number", "hold"), (999_999, "message", "retry")],
)
async def test_other_codes_are_understood_by_their_range_or_tried_again(gateway, fake, message, code, scope, action):
    fake.fail_next(code)
    with pytest.raises(SendError) as raised:
        await gateway.send(message())
    assert (raised.value.scope, raised.value.action, raised.value.code) == (scope, action, str(code))


@pytest.mark.parametrize("fault", [Fault.LOST_ANSWER, Fault.LOST_REQUEST, Fault.BAD_GATEWAY])
async def test_a_lost_answer_is_in_doubt_whether_or_not_the_contact_saw_it(gateway, fake, message, fault):
    fake.break_next(fault)
    with pytest.raises(InDoubt):
        await gateway.send(message())
    assert len(fake.world.seen(NUMBER, CONTACT)) == (0 if fault is Fault.LOST_REQUEST else 1)


async def test_an_answer_that_does_not_come_is_in_doubt(graph_url, store, fake, message):
    async def credentials(**_: object) -> CloudNumber:
        return CloudNumber(phone_number_id=NUMBER, access_token=TOKEN, base_url=graph_url)

    impatient = CloudGateway(credentials, store, graph=Graph(httpx.AsyncClient(timeout=httpx.Timeout(5, read=0.1))))
    fake.break_next(Fault.SILENCE)
    with pytest.raises(InDoubt, match="ReadTimeout"):
        await impatient.send(message())
    await impatient.close()
    assert len(fake.world.seen(NUMBER, CONTACT)) == 1


async def test_a_graph_that_cannot_be_reached_was_not_told(store, message):
    async def credentials(**_: object) -> CloudNumber:
        return CloudNumber(phone_number_id=NUMBER, access_token=TOKEN, base_url="http://127.0.0.1:1")

    unreachable = CloudGateway(credentials, store)
    with pytest.raises(SendError, match="cannot be reached") as raised:
        await unreachable.send(message())
    await unreachable.close()
    assert (raised.value.scope, raised.value.action) == ("number", "retry")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b"not json", InDoubt),
        (200, b"{}", InDoubt),
        (200, b'{"messages": [{"id": ""}]}', InDoubt),
        (200, b"[]", InDoubt),
        (500, b"", InDoubt),
        (504, b"<html>", InDoubt),
        (408, b"", InDoubt),
        (302, b"", InDoubt),
        (404, b"<html>", SendError),
        (429, b"", SendError),
        (400, b'{"error": {"message": "no code"}}', SendError),
        (400, b'{"error": {"code": true, "error_data": []}}', SendError),
    ],
)
async def test_an_answer_that_is_not_graphs_is_never_taken_for_a_success(store, message, status, body, kind):
    async def credentials(**_: object) -> CloudNumber:
        return CloudNumber(phone_number_id=NUMBER, access_token=TOKEN)

    transport = httpx.MockTransport(lambda request: httpx.Response(status, content=body))
    gateway = CloudGateway(credentials, store, graph=Graph(httpx.AsyncClient(transport=transport)))
    with pytest.raises(kind):
        await gateway.send(message())
    await gateway.close()


async def test_a_number_without_a_token_is_held_and_says_what_is_to_be_done(gateway, message):
    with pytest.raises(SendError, match="'other' has no access token") as raised:
        await gateway.send(message(instance="other"))
    assert (raised.value.scope, raised.value.action, raised.value.code) == ("number", "hold", "no_access_token")
    assert raised.value.remedy


async def test_a_token_that_cannot_be_read_now_leaves_no_doubt(store, message):
    async def credentials(**_: object) -> CloudNumber:
        raise ConnectionError("the database is away")

    gateway = CloudGateway(credentials, store)
    with pytest.raises(SendError) as raised:
        await gateway.send(message())
    await gateway.close()
    assert (raised.value.action, raised.value.code) == ("retry", "credentials_unavailable")


async def test_an_expired_token_holds_the_account_until_somebody_acts(gateway, fake, message):
    fake.world.tokens[TOKEN] = False
    with pytest.raises(SendError) as raised:
        await gateway.send(message())
    assert (raised.value.scope, raised.value.action, raised.value.code) == ("account", "hold", "190")
    assert raised.value.remedy == "give the number a new access token"


async def test_no_error_and_no_repr_shows_the_token(gateway, fake, message):
    fake.world.tokens[TOKEN] = False
    with pytest.raises(SendError) as raised:
        await gateway.send(message())
    assert TOKEN not in repr(raised.value)
    assert TOKEN not in repr(CloudNumber(phone_number_id=NUMBER, access_token=TOKEN))


async def test_a_stored_file_is_uploaded_once_however_many_need_it_at_once(gateway, fake, store, message):
    stored = await store.put(ORGANIZATION, b"%PDF", mime_type="application/pdf")
    content = MediaContent(kind=MediaKind.DOCUMENT, stored=stored.reference, filename="invoice.pdf")
    await asyncio.gather(*(gateway.send(message(content, number=number)) for number in range(1, 6)))

    assert fake.world.uploads == 1
    (id_,) = {seen.content["id"] for seen in fake.world.seen(NUMBER, CONTACT)}
    assert (fake.world.files[id_].data, fake.world.files[id_].mime_type) == (b"%PDF", "application/pdf")


async def test_a_file_that_meta_forgot_is_uploaded_anew_the_next_time(gateway, fake, store, message):
    stored = await store.put(ORGANIZATION, b"\xff\xd8", mime_type="image/jpeg")
    content = MediaContent(kind=MediaKind.IMAGE, stored=stored.reference)
    await gateway.send(message(content))
    fake.fail_next(131_053)
    with pytest.raises(SendError):
        await gateway.send(message(content))
    await gateway.send(message(content))
    assert fake.world.uploads == 2


async def test_another_organizations_file_is_not_there(gateway, fake, store, message):
    theirs = await store.put(type(ORGANIZATION)(int=8), b"secret", mime_type="image/jpeg")
    with pytest.raises(SendError) as raised:
        await gateway.send(message(MediaContent(kind=MediaKind.IMAGE, stored=theirs.reference)))
    assert (raised.value.action, raised.value.code) == ("drop", "media_missing")
    assert fake.world.uploads == 0


async def test_what_graph_says_of_a_number_is_read(gateway, fake):
    fake.world.tier = "TIER_2K"
    told = await gateway.look(organization_id=ORGANIZATION, instance_id="shop")
    assert told["whatsapp_business_manager_messaging_limit"] == "TIER_2K"
    assert told["quality_rating"] == "GREEN"
    fake.world.tokens[TOKEN] = False
    with pytest.raises(SendError) as raised:
        await gateway.look(organization_id=ORGANIZATION, instance_id="shop")
    assert raised.value.remedy == "give the number a new access token"


async def test_reading_and_typing_are_told(gateway, fake):
    who = {"organization_id": ORGANIZATION, "instance_id": "shop"}
    first, second = (fake.write(NUMBER, sender=CONTACT, text=text) for text in ("one", "two"))
    await gateway.mark_read(**who, message_id=first)
    await gateway.mark_read(**who, message_id=second, typing=True)
    assert [(each["message_id"], "typing_indicator" in each) for each in fake.world.read] == [
        (first, False),
        (second, True),
    ]


async def test_a_contacts_file_comes_into_the_store(gateway, fake, store):
    media_id = fake.world.keep(b"\xff\xd8picture", "image/jpeg")
    stored = await gateway.fetch_media(organization_id=ORGANIZATION, instance_id="shop", media_id=media_id)
    assert await store.get(ORGANIZATION, stored.reference) == (stored, b"\xff\xd8picture")
    assert stored.mime_type == "image/jpeg"


@pytest.mark.parametrize(("media_id", "again"), [("999", False), ("../secrets", False)])
async def test_a_file_that_is_not_there_is_not_asked_for_again(gateway, media_id, again):
    with pytest.raises(MediaUnavailable) as raised:
        await gateway.fetch_media(organization_id=ORGANIZATION, instance_id="shop", media_id=media_id)
    assert raised.value.again is again


@pytest.mark.parametrize(
    "url", ["http://evil.example/f", "https://evil.example/f", "https://fbsbx.com.evil.example/", "file:///etc", "//["]
)
async def test_the_token_goes_to_meta_alone(store, url):
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json={"url": url, "mime_type": "image/jpeg"})

    async def credentials(**_: object) -> CloudNumber:
        return CloudNumber(phone_number_id=NUMBER, access_token=TOKEN)

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    gateway = CloudGateway(credentials, store, graph=Graph(client))
    with pytest.raises(MediaUnavailable, match="none of Meta's"):
        await gateway.fetch_media(organization_id=ORGANIZATION, instance_id="shop", media_id="1")
    await gateway.close()
    assert asked == ["https://graph.facebook.com/v24.0/1"]


async def test_a_file_whose_bytes_are_others_is_not_stored(store):
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "graph.facebook.com":
            described = {"url": "https://lookaside.fbsbx.com/f", "mime_type": "image/jpeg", "sha256": "00" * 32}
            return httpx.Response(200, json=described)
        return httpx.Response(200, content=b"other")

    async def credentials(**_: object) -> CloudNumber:
        return CloudNumber(phone_number_id=NUMBER, access_token=TOKEN)

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    gateway = CloudGateway(credentials, store, graph=Graph(client))
    with pytest.raises(MediaUnavailable, match="not those that Meta described"):
        await gateway.fetch_media(organization_id=ORGANIZATION, instance_id="shop", media_id="1")
    await gateway.close()


async def test_text_of_any_script_arrives_as_it_was(gateway, fake, message):
    await gateway.send(message(TextContent(body="Olá, 你好, مرحبا 🙂")))
    assert fake.world.seen(NUMBER, CONTACT)[0].content["body"] == "Olá, 你好, مرحبا 🙂"
