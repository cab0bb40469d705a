"""Content: what WhatsApp would refuse cannot be made."""

import math

import pytest

from berrante.gateways.protocol import (
    Button,
    ButtonsContent,
    Component,
    ContactCard,
    ContactsContent,
    ContentInvalid,
    ListContent,
    LocationContent,
    MediaContent,
    MediaKind,
    Parameter,
    Place,
    ReactionContent,
    Row,
    Section,
    TemplateContent,
    TextContent,
)

YES = Button(id="yes", title="Yes")


def rows(count: int) -> tuple[Row, ...]:
    return tuple(Row(id=str(number), title="x") for number in range(count))


@pytest.mark.parametrize("body", ["x", "x" * 4_096])
def test_a_text_has_1_to_4096_characters(body):
    assert TextContent(body=body).body == body


@pytest.mark.parametrize("body", ["", " \n", "x" * 4_097, "a\0b", "\ud800"])
def test_another_text_cannot_be_made(body):
    with pytest.raises(ContentInvalid, match=r"^body "):
        TextContent(body=body)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"id": "1", "link": "https://x.example/y"}, "media"),
        ({}, "media"),
        ({"link": "ftp://x.example/y"}, "link"),
        ({"link": "https://me:hush@x.example/y"}, "link"),
        ({"link": "https:///y"}, "link"),
        ({"link": "https://[x/y"}, "link"),
        ({"link": "https://x.example/a b"}, "link"),
        ({"id": "1", "caption": "x" * 1_025}, "caption"),
        ({"id": "1", "filename": "a.pdf"}, "filename"),
        ({"id": "1", "kind": MediaKind.AUDIO, "caption": "x"}, "caption"),
        ({"id": "1", "kind": MediaKind.STICKER, "caption": "x"}, "caption"),
    ],
)
def test_media_is_named_in_one_way_and_has_what_fits_its_kind(changed, field):
    with pytest.raises(ContentInvalid) as raised:
        MediaContent(**({"kind": MediaKind.IMAGE} | changed))
    assert raised.value.field == field


@pytest.mark.parametrize(
    "make",
    [
        lambda: ButtonsContent(body="x" * 1_025, buttons=(YES,)),
        lambda: ButtonsContent(body="x", buttons=()),
        lambda: ButtonsContent(body="x", buttons=tuple(Button(id=str(n), title=str(n)) for n in range(4))),
        lambda: ButtonsContent(body="x", buttons=(YES, YES)),
        lambda: ButtonsContent(body="x", buttons=(YES,), footer="x" * 61),
        lambda: ButtonsContent(
            body="x", buttons=(YES,), header="x", header_media=MediaContent(kind=MediaKind.IMAGE, id="1")
        ),
        lambda: ButtonsContent(body="x", buttons=(YES,), header_media=MediaContent(kind=MediaKind.STICKER, id="1")),
        lambda: Button(id="x" * 257, title="x"),
        lambda: Button(id="x", title="x" * 21),
        lambda: ListContent(body="x", button="y", sections=()),
        lambda: ListContent(body="x", button="y" * 21, sections=(Section(rows=rows(1)),)),
        lambda: ListContent(body="x", button="y", sections=(Section(rows=rows(6)), Section(rows=rows(5)))),
        lambda: ListContent(body="x", button="y", sections=(Section(rows=(rows(1) * 2)),)),
        lambda: ListContent(
            body="x", button="y", sections=(Section(rows=rows(1)), Section(rows=(Row(id="z", title="z"),)))
        ),
        lambda: Section(rows=rows(1), title="x" * 25),
        lambda: Row(id="x" * 201, title="x"),
        lambda: Row(id="x", title="x" * 25),
        lambda: Row(id="x", title="x", description="x" * 73),
        lambda: LocationContent(latitude=91, longitude=0),
        lambda: LocationContent(latitude=0, longitude=-181),
        lambda: LocationContent(latitude=math.nan, longitude=0),
        lambda: ContactCard(formatted_name="Ana"),
        lambda: ContactsContent(contacts=()),
        lambda: ReactionContent(message_id="", emoji="👍"),
        lambda: ReactionContent(message_id="m", emoji="ok"),
        lambda: TemplateContent(name="Order", language="en"),
        lambda: TemplateContent(name="order", language="english"),
        lambda: TemplateContent(
            name="order",
            language="en",
            components=(Component(place=Place.BODY, parameters=(Parameter(text="x"),)),) * 2,
        ),
        lambda: Component(place=Place.BUTTON, parameters=(Parameter(text="x"),)),
        lambda: Component(place=Place.BODY, index=0, parameters=(Parameter(text="x"),)),
        lambda: Component(place=Place.HEADER, parameters=(Parameter(text="x" * 61),)),
        lambda: Component(place=Place.BODY, parameters=(Parameter(media=MediaContent(kind=MediaKind.IMAGE, id="1")),)),
        Parameter,
    ],
)
def test_what_is_beyond_a_limit_cannot_be_made_and_the_error_names_field_and_remedy(make):
    with pytest.raises(ContentInvalid) as raised:
        make()
    assert str(raised.value) == f"{raised.value.field} {raised.value.problem}: {raised.value.remedy}"
