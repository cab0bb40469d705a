"""Reading Meta's webhooks: every element of a batch becomes an event or is counted."""

import contextlib
import copy
import json
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berrante.gateways.cloud import MalformedWebhook, parse
from berrante.gateways.protocol import IncomingMessage, NumberUpdate, Parsed, Receipt, ReceiptStatus

ORGANIZATION = UUID(int=7)
PAYLOADS = Path(__file__).parent / "payloads"
OUR_NUMBER = "106540352242922"


def payload(name: str) -> dict:
    return json.loads((PAYLOADS / f"{name}.json").read_bytes())


def read(body: object, *, phone_number_id: str | None = OUR_NUMBER) -> Parsed:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse(raw, organization_id=ORGANIZATION, instance_id="shop", phone_number_id=phone_number_id)


def only(parsed: Parsed):
    (event,) = parsed.events
    return event


def with_message(**changed: object) -> dict:
    """The text payload with fields of its message changed; None takes a field away."""
    body = payload("text")
    message = body["entry"][0]["changes"][0]["value"]["messages"][0]
    message.update(changed)
    for name in [name for name, value in message.items() if value is None]:
        del message[name]
    return body


def with_status(**changed: object) -> dict:
    body = payload("status_sent")
    status = body["entry"][0]["changes"][0]["value"]["statuses"][0]
    status.update(changed)
    for name in [name for name, value in status.items() if value is None]:
        del status[name]
    return body


def test_a_text_message():
    parsed = read(payload("text"))
    assert only(parsed) == IncomingMessage(
        organization_id=ORGANIZATION,
        instance_id="shop",
        sender="+5511999990001",
        message_id="wamid.HBgNNTUxMTk5OTk5MDAwMRUCABIYFDNBNEE2NTk5QUVFMDM4MTAx0001AA==",
        sent_at_ms=1_749_416_384_000,
        content={"type": "text", "text": "Does it come in another colour? 🙂"},
        sender_name="Ana Souza",
    )
    assert parsed.unknown == {}


@pytest.mark.parametrize("name", ["text_reply", "text_from_ad"])
def test_a_text_keeps_what_it_answers_and_the_ad_it_came_from(name):
    raw = payload(name)["entry"][0]["changes"][0]["value"]["messages"][0]
    content = only(read(payload(name))).content
    assert content["text"] == raw["text"]["body"]
    assert {key: content[key] for key in ("context", "referral") if key in raw} == {
        key: raw[key] for key in ("context", "referral") if key in raw
    }
    assert set(content) - {"type", "text"}


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("button", "button"),
        ("interactive_button_reply", "interactive"),
        ("interactive_list_reply", "interactive"),
        ("interactive_flow_reply", "interactive"),
        ("image", "image"),
        ("audio", "audio"),
        ("video", "video"),
        ("document", "document"),
        ("sticker", "sticker"),
        ("reaction", "reaction"),
        ("reaction_removed", "reaction"),
        ("location", "location"),
        ("contacts", "contacts"),
        ("order", "order"),
    ],
)
def test_every_other_kind_is_kept_as_it_came_with_its_type(name, type_):
    raw = payload(name)["entry"][0]["changes"][0]["value"]["messages"][0]
    parsed = read(payload(name))
    event = only(parsed)
    assert event.content["type"] == type_
    assert event.content[type_] == raw[type_]
    assert (event.sender, event.sender_name, event.message_id) == ("+5511999990001", "Ana Souza", raw["id"])
    assert event.sent_at_ms == int(raw["timestamp"]) * 1_000
    assert parsed.unknown == {}


@pytest.mark.parametrize(
    ("name", "status", "at_s"),
    [
        ("status_sent", ReceiptStatus.SENT, 1_750_030_073),
        ("status_delivered", ReceiptStatus.DELIVERED, 1_750_030_075),
        ("status_read", ReceiptStatus.READ, 1_750_030_090),
    ],
)
def test_a_status_is_a_receipt(name, status, at_s):
    parsed = read(payload(name))
    raw = payload(name)["entry"][0]["changes"][0]["value"]["statuses"][0]
    assert only(parsed) == Receipt(
        organization_id=ORGANIZATION,
        instance_id="shop",
        message_id="wamid.HBgNNTUxMTk5OTk5MDAwMRUCABIYFDNBNEE2NTk5QUVFMDM4MTAx0050AA==",
        status=status,
        at_ms=at_s * 1_000,
        pricing=raw.get("pricing"),
    )
    assert parsed.unknown == {}


@pytest.mark.parametrize(
    ("told", "wire_id"), [("BRT018F", "BRT018F"), ("", None), (7, None), ("x" * 513, None), (None, None)]
)
def test_a_status_carries_our_own_id_where_whatsapp_repeats_it(told, wire_id):
    assert only(read(with_status(biz_opaque_callback_data=told))).wire_id == wire_id


def test_a_contact_that_hides_the_number_is_known_by_its_user_id():
    event = only(read(payload("without_phone_number")))
    assert (event.sender, event.sender_name) == ("BR.1502118462917731", "Hidden")
    assert event.content == {"type": "text", "text": "You cannot see my number"}


@pytest.mark.parametrize("user_id", ["", "5511999990001", "BR.", "br.15", "BR.1/2", 7])
def test_what_is_no_user_id_names_nobody(user_id):
    body = payload("without_phone_number")
    body["entry"][0]["changes"][0]["value"]["messages"][0]["from_user_id"] = user_id
    assert read(body).unknown == {"malformed:message": 1}


def test_a_change_of_number_is_told_with_both_numbers():
    update = only(read(payload("system_number_changed")))
    assert (update.kind, update.subject) == ("user_changed_number", "identity:5511999990001")
    assert (update.details["from"], update.details["to"]) == ("5511999990001", "5511999990009")
    assert update.at_ms == 1_749_416_402_000


def test_an_update_of_the_account_is_an_event_with_the_account_and_its_time():
    body = payload("account_update")
    body["entry"][0]["time"] = 1_750_000_000
    update = only(read(body))
    assert (update.kind, update.subject, update.account_id) == ("account_update", "account", "102290129340398")
    assert (update.at_ms, update.details["event"]) == (1_750_000_000_000, "VERIFIED_ACCOUNT")
    assert only(read(payload("account_update"))).at_ms == 0


def with_change(field: str, **value: object) -> dict:
    body = payload("account_update")
    body["entry"][0]["changes"] = [{"field": field, "value": value}]
    return body


def test_each_template_and_each_aspect_of_it_is_a_subject():
    named = {"message_template_name": "news", "message_template_language": "pt_BR"}
    subjects = [
        only(read(with_change(field, event="PAUSED", **named))).subject
        for field in ("message_template_status_update", "message_template_quality_update")
    ]
    assert subjects == ["template:news/pt_BR", "template:news/pt_BR:message_template_quality_update"]


@pytest.mark.parametrize("field", ["message_template_status_update", "flows", "security"])
def test_an_update_that_says_nothing_we_know_is_counted(field):
    assert read(with_change(field, event="PAUSED")) == Parsed(events=[], unknown={f"change:{field}": 1})


def test_what_contacts_prefer_is_told_and_what_is_malformed_is_counted():
    body = payload("text")
    value = body["entry"][0]["changes"][0]["value"]
    del value["messages"]
    value["user_preferences"] = [
        {"wa_id": "5511999990001", "category": "marketing_messages", "value": "stop", "timestamp": 1731705721},
        {"user_id": "BR.15", "category": "marketing_messages", "value": "resume"},
        {"wa_id": "5511999990001", "category": "other", "value": "stop"},
        {"wa_id": 7, "category": "marketing_messages", "value": "stop"},
        {},
    ]
    parsed = read(body)
    assert [(event.subject, event.at_ms) for event in parsed.events] == [
        ("marketing:5511999990001", 1_731_705_721_000),
        ("marketing:BR.15", 0),
    ]
    assert parsed.unknown == {"preference:other": 1, "malformed:preference": 2}


def test_a_failed_status_says_why():
    receipt = only(read(payload("status_failed")))
    assert (receipt.status, receipt.error_code) == (ReceiptStatus.FAILED, "131049")
    title, details = receipt.error.split(".: ")
    assert title == "This message was not delivered to maintain healthy ecosystem engagement"
    assert details.startswith("In order to maintain")


@pytest.mark.parametrize(
    ("errors", "code", "error"),
    [
        (None, None, None),
        ([], None, None),
        ("oops", None, None),
        (["oops"], None, None),
        ([{"code": 131026}], "131026", None),
        ([{"code": "131026", "title": "Gone", "message": "Gone", "error_data": {"details": "Gone"}}], "131026", "Gone"),
        ([{"code": True, "message": "No"}], None, "No"),
        ([{"code": 1, "title": 2, "error_data": "x"}], "1", None),
    ],
)
def test_a_failed_status_is_a_receipt_whatever_its_errors_look_like(errors, code, error):
    receipt = only(read(with_status(status="failed", errors=errors)))
    assert (receipt.error_code, receipt.error) == (code, error)


@pytest.mark.parametrize(
    ("name", "unknown"),
    [
        ("unsupported", {"message:unsupported": 1}),
        ("status_deleted", {"status:deleted": 1}),
        ("out_of_band_error", {"error:130429": 1}),
    ],
)
def test_what_is_not_understood_is_counted_by_kind(name, unknown):
    assert read(payload(name)) == Parsed(events=[], unknown=unknown)


def test_a_batch_is_read_wholly_and_in_order():
    parsed = read(payload("batch"))
    assert [
        (event.content["type"], event.sender_name)
        if isinstance(event, IncomingMessage)
        else event.subject
        if isinstance(event, NumberUpdate)
        else event.status.value
        for event in parsed.events
    ] == [
        ("text", "Ana Souza"),
        ("text", "Bento"),
        "sent",
        "delivered",
        "template:order_update/pt_BR",
        ("image", "Ana Souza"),
        "read",
    ]
    assert parsed.unknown == {
        "message:ephemeral": 1,
        "status:deleted": 1,
        "foreign:phone_number_id": 1,
    }


def test_without_a_number_to_compare_with_all_numbers_are_ours():
    parsed = read(payload("batch"), phone_number_id=None)
    assert len(parsed.events) == 8
    assert "foreign:phone_number_id" not in parsed.unknown


@pytest.mark.parametrize("metadata", [None, {}, [], {"phone_number_id": int(OUR_NUMBER)}])
def test_a_change_that_does_not_say_that_it_is_ours_is_not(metadata):
    body = payload("text")
    body["entry"][0]["changes"][0]["value"]["metadata"] = metadata
    assert read(body) == Parsed(events=[], unknown={"foreign:phone_number_id": 1})


@pytest.mark.parametrize(
    "changed",
    [
        {"id": None},
        {"id": ""},
        {"id": 7},
        {"id": "x" * 513},
        {"type": None},
        {"type": 7},
        {"timestamp": None},
        {"timestamp": ""},
        {"timestamp": "yesterday"},
        {"timestamp": "-1749416383"},
        {"timestamp": "1749416383000"},
        {"timestamp": "999999999"},
        {"timestamp": "٣٣٣٣٣٣٣٣٣٣"},
        {"timestamp": True},
        {"timestamp": 1749416383.5},
        {"from": None},
        {"from": 5511999990001},
        {"from": ""},
        {"from": "status@broadcast"},
        {"from": "0511999990001"},
        {"from": "5511999990001\n"},
        {"text": None},
        {"text": "Hello"},
        {"text": {"body": 7}},
        {"type": "image"},
        {"type": "image", "image": "77"},
        {"type": "contacts", "contacts": {}},
    ],
)
def test_a_malformed_message_is_counted_and_costs_its_neighbours_nothing(changed):
    body = with_message(**changed)
    messages = body["entry"][0]["changes"][0]["value"]["messages"]
    good = payload("text")["entry"][0]["changes"][0]["value"]["messages"][0]
    messages[:] = [good | {"id": "before"}, *messages, good | {"id": "after"}]
    parsed = read(body)
    assert [event.message_id for event in parsed.events] == ["before", "after"]
    assert parsed.unknown == {"malformed:message": 1}


@pytest.mark.parametrize(
    "changed", [{"id": None}, {"id": ""}, {"timestamp": "soon"}, {"timestamp": None}, {"status": None}, {"status": 1}]
)
def test_a_malformed_status_is_counted(changed):
    assert read(with_status(**changed)) == Parsed(events=[], unknown={"malformed:status": 1})


@pytest.mark.parametrize("element", [None, 7, "text", [], {}])
def test_elements_of_the_wrong_shape_are_counted_at_every_level(element):
    good = payload("text")
    value = good["entry"][0]["changes"][0]["value"]
    value["messages"].append(element)
    value["contacts"].append(element)
    value["statuses"] = [element]
    good["entry"][0]["changes"].append(element)
    good["entry"].append(element)
    parsed = read(good)
    assert only(parsed).sender_name == "Ana Souza"
    assert parsed.unknown == {
        "malformed:message": 1,
        "malformed:contact": 1,
        "malformed:status": 1,
        "malformed:change": 1,
        "malformed:entry": 1,
    }


@pytest.mark.parametrize("key", ["contacts", "messages", "statuses", "errors"])
def test_a_list_that_is_none_is_counted(key):
    body = payload("text")
    body["entry"][0]["changes"][0]["value"][key] = {"0": {}}
    assert read(body).unknown == {f"malformed:{key}": 1}


def test_a_part_of_a_change_that_is_new_to_us_is_counted():
    body = payload("text")
    body["entry"][0]["changes"][0]["value"]["calls"] = [{}]
    parsed = read(body)
    assert len(parsed.events) == 1
    assert parsed.unknown == {"value:calls": 1}


@pytest.mark.parametrize("name", ["x" * 61, "a b", "", "ключ", "a\nb"])
def test_names_that_are_none_are_counted_together(name):
    assert read(with_message(type=name)).unknown == {"message:other": 1}
    assert read(with_status(status=name)).unknown == {"status:other": 1}


def test_a_sender_without_a_profile_has_no_name():
    body = payload("text")
    value = body["entry"][0]["changes"][0]["value"]
    for contacts in ([], [{"wa_id": "5511999990001"}], [{"wa_id": "5511999990002", "profile": {"name": "Bento"}}]):
        value["contacts"] = contacts
        assert only(read(body)).sender_name is None


def test_numeric_timestamps_are_read_too():
    assert only(read(with_message(timestamp=1749416383))).sent_at_ms == 1_749_416_383_000


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not json",
        b"\xff",
        b'"\xed\xa0\x80"',
        b'{"object": "whatsapp_business_account", "entry": [',
        b'{"object": "whatsapp_business_account", "entry": [1e999]}',
        b"[" * 100_000,
        b"null",
        b"[]",
        b"{}",
        b'{"object": "whatsapp_business_account"}',
        b'{"object": "whatsapp_business_account", "entry": {}}',
        b'{"object": null, "entry": []}',
        b'{"entry": []}',
    ],
)
def test_a_body_that_is_no_webhook_is_malformed_as_a_whole(raw):
    with pytest.raises(MalformedWebhook, match="cannot be read"):
        read(raw)


def test_a_webhook_of_another_kind_of_account_is_counted():
    assert read({"object": "page", "entry": [{}]}) == Parsed(events=[], unknown={"object:page": 1})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
GOOD = [json.loads(path.read_bytes()) for path in sorted(PAYLOADS.glob("*.json"))]


def places(node: object, path: tuple = ()) -> list[tuple]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, child in children for place in places(child, (*path, key)))]


@given(raw=st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_parsed_or_malformed(raw):
    with contextlib.suppress(MalformedWebhook):
        assert isinstance(read(raw), Parsed)


@given(data=st.data(), body=st.sampled_from(GOOD), graft=JSON)
def test_a_webhook_with_anything_anywhere_is_parsed_or_malformed_and_can_be_written_as_json(data, body, graft):
    body = copy.deepcopy(body)
    place = data.draw(st.sampled_from(places(body)))
    if place:
        node = body
        for key in place[:-1]:
            node = node[key]
        node[place[-1]] = graft
    else:
        body = graft
    try:
        parsed = read(body)
    except MalformedWebhook:
        assert len(place) <= 1, "only the envelope can spoil all of it"
        return
    for event in parsed.events:
        if isinstance(event, IncomingMessage):
            assert event.sender.startswith(("+", "BR."))
            assert json.loads(json.dumps(event.content)) == event.content
    assert all(isinstance(kind, str) and count > 0 for kind, count in parsed.unknown.items())


@given(noise=st.lists(JSON, max_size=4), position=st.integers(0, 4))
def test_a_good_message_survives_any_neighbours(noise, position):
    body = payload("text")
    messages = body["entry"][0]["changes"][0]["value"]["messages"]
    messages[:] = [*noise[:position], *messages, *noise[position:]]
    parsed = read(body)
    assert only(parsed).content["text"].startswith("Does it come")
    assert sum(parsed.unknown.values()) == len(noise)
