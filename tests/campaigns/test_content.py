"""What a campaign says: refused when it is saved, or rendered within bounds."""

import re
from collections import Counter
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import literal, select
from sqlalchemy.ext.asyncio import create_async_engine

from berrante.gateways.protocol import MediaContent, MediaKind, TemplateContent
from berrante.messaging.campaigns.content import Content, RenderFailed, Shares, TemplateInvalid
from berrante.messaging.campaigns.content.template import Template
from berrante.messaging.errors import Invalid
from berrante.messaging.messages.bodies import refusal
from berrante.messaging.messages.content import outgoing

ANA = {"name": "Ana", "first_name": "Ana", "phone": "+5581999990001", "language": "pt", "tags": ["vip"]}
VALUES = {**ANA, "fields": {"city": "Recife"}, "params": {}}


@pytest.mark.parametrize(
    ("source", "line", "column", "problem"),
    [
        ("Oi {{ nme }}", 1, 7, "there is no variable 'nme'"),
        ("Oi\n{{ name | shout }}", 2, 11, "there is no filter 'shout'"),
        ("{a|b}\n{x|Oi {{ nope }}}", 2, 10, "there is no variable 'nope'"),
        ("{{ fields }}", 1, 4, "name one of them"),
        ("{{ fields.City }}", 1, 4, "name one of them"),
        ("{% include 'x' %}", 1, 4, "unexpected tag 'include'"),
        ("{% render 'x' %}", 1, 4, "unexpected tag 'render'"),
        ("{% if name %}Oi", 1, 16, "expected tag endif"),
        ("{Oi|Hi", 1, 1, "these alternatives are not closed"),
        ("{{% if name %}a|b{% endif %}}", 1, 4, "has to end in it"),
        ("{{ berrante_spin[0] }}", 1, 4, "is not yours to name"),
        ("{a|{b|{c|{d|{e|{f|g}}}}}}", 1, 16, "nested deeper than 5"),
    ],
)
def test_what_cannot_work_is_refused_with_its_place(source: str, line: int, column: int, problem: str) -> None:
    with pytest.raises(TemplateInvalid, match=re.escape(problem)) as caught:
        Template(source)
    assert (caught.value.line, caught.value.column) == (line, column)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("{{ fields.street }}", "missing_field"),
        ("{% for i in (1..100000) %}x{% endfor %}", "too_much_work"),
        ("{{ (1..999999999999999999999) | join: 'x' }}", "render_failed"),
        ("{{ (1..900000000) | reverse | join }}", "render_failed"),
        ("{% assign a='xxxxxxxxxx' %}" + "{% assign a = a | replace: 'x','xxxxxxxxxx' %}" * 9, "render_failed"),
        ("{% assign a=99999 %}" + "{% assign a = a | times: a %}" * 30, "render_failed"),
        ("{% for i in (1..900) %}" + "x" * 100 + "{% endfor %}", "too_long"),
        ("{{ 1 | divided_by: 0 }}", "render_failed"),
    ],
)
def test_rendering_has_bounds_and_says_which(source: str, code: str) -> None:
    with pytest.raises(RenderFailed) as caught:
        Template(source).render(VALUES, seed="x")
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ fields.street | default: 'rua' }}", "rua"),
        ("{{{ name }}|{{ name }}}!", "Ana!"),
        ("a {b} c } | {", "a {b} c } | {"),
        (r"\{a\|b\}", "{a|b}"),
        ("{x|x} {{ name | upcase }} {% if tags contains 'vip' %}{ok|ok}{% endif %}", "x ANA ok"),
        ("{a{b|b}c|a{b|b}c}", "abc"),
    ],
)
def test_liquid_and_spintax_live_together(source: str, text: str) -> None:
    assert Template(source).render(VALUES, seed="x") == text


def test_what_a_contact_is_called_is_neither_spun_nor_rendered() -> None:
    name = "{a|b} {{ phone }} {% if %}"
    assert Template("{Oi|Oi} {{ name }}").render({**VALUES, "name": name}, seed="x") == f"Oi {name}"


@given(st.text(alphabet="{}|%\\ a\n[].'\"", max_size=40))
def test_any_text_is_refused_in_our_own_words_or_renders_the_same_every_time(source: str) -> None:
    try:
        template = Template(source)
    except TemplateInvalid as error:
        place = (error.line, error.column)
    else:
        place = None
    if place is not None:
        lines = source.split("\n")
        assert 1 <= place[0] <= len(lines)
        assert 1 <= place[1] <= len(lines[place[0] - 1]) + 1
        return
    try:
        assert template.render(VALUES, seed="a") == template.render(VALUES, seed="a")
    except RenderFailed:
        return


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.text(max_size=12))
def test_alternatives_are_chosen_by_the_recipient_alone(sizes: list[int], seed: str) -> None:
    groups = ["|".join(f"{g}-{n}" for n in range(size + 1)) for g, size in enumerate(sizes)]
    template = Template(";".join(f"{{{group}}}" for group in groups))
    text = template.render(VALUES, seed=seed)
    assert all(part in group.split("|") for part, group in zip(text.split(";"), groups, strict=True))
    assert template.render({**VALUES, "name": "other"}, seed=seed) == text


def test_variants_get_their_shares_and_stay_with_the_recipient() -> None:
    content = Content.read({"variants": [{"name": "A", "weight": 3, "text": "a"}, {"name": "B", "text": "b"}]})
    found = Counter(content.variant_of(f"+55119{n:08}", salt="c") for n in range(4_000))
    assert 2_850 < found["A"] < 3_150
    again = Content.read(content.stored())
    assert all(
        again.variant_of(f"+{n}", salt="c") == content.variant_of(f"+{n}", salt="c") for n in range(10_000, 10_200)
    )


async def test_postgresql_gives_the_same_shares_as_python(database_url: str) -> None:
    shares = Shares((("a", 1), ("b", 2), ("ç", 5)))
    engine = create_async_engine(database_url)
    people = [f"+55{n}" for n in range(200)] + ["", "ação"]
    async with engine.connect() as connection:
        query = select(*(shares.column(literal(who), salt="s") for who in people))
        assert list((await connection.execute(query)).one()) == [shares.of(who, salt="s") for who in people]
    await engine.dispose()


TEMPLATE = {"type": "template", "template": "promo", "language": "pt_BR"}
UPLOAD = "a" * 64 + ".jpg"


def test_a_whatsapp_template_is_data_with_rendered_parameters() -> None:
    content = Content.read(
        {
            **TEMPLATE,
            "variables": {"1": "{{ first_name }}", "2": "R$ 5"},
            "header": {"kind": "document", "url": "https://shop.example/{{ params.invoice }}.pdf", "filename": "{a|a}"},
            "buttons": [{"index": 0, "kind": "url", "value": "orders/{{ params.invoice }}"}],
        }
    )
    rendered = content.render({**VALUES, "first_name": "Ana\n Maria", "params": {"invoice": "42"}}, who="+1", salt="c")
    sent = outgoing(rendered.content)
    assert isinstance(sent, TemplateContent)
    assert (sent.name, sent.language) == ("promo", "pt_BR")
    header, body, button = sent.components
    assert header.parameters[0].media == MediaContent(
        kind=MediaKind.DOCUMENT, link="https://shop.example/42.pdf", filename="a"
    )
    assert [each.text for each in body.parameters] == ["Ana Maria", "R$ 5"]  # Meta refuses a line break there
    assert (button.index, button.parameters[0].text) == (0, "orders/42")
    assert content.kinds == {"template": "content.variants[0].type"}
    assert Content.read(content.stored()).stored() == content.stored()


def test_a_file_is_named_by_address_or_by_upload_and_its_caption_is_rendered() -> None:
    given_ = {"type": "media", "kind": "image", "media_id": UPLOAD, "caption": "{Oi|Oi} {{ name }}"}
    content = Content.read(
        {"variants": [{**given_, "name": "A"}, {"text": "Oi", "name": "B"}]}, organization_id=UUID(int=7)
    )
    rendered = content.render(VALUES, who="+1", salt="c", variant="A")
    assert outgoing(rendered.content) == MediaContent(
        kind=MediaKind.IMAGE, stored=f"{UUID(int=7)}/{UPLOAD}", caption="Oi Ana"
    )
    assert content.uploads == {"content.variants[0].media_id": UPLOAD}
    assert content.kinds == {"media": "content.variants[0].type", "text": "content.variants[1].type"}
    linked = Content.read({"variants": [{"type": "media", "kind": "image", "url": "https://shop.example/1.png"}]})
    assert refusal("baileys", "media") is None
    assert [refusal("baileys", kind) is None for kind in linked.kinds] == [True, False]
    assert linked.kinds["media by address"] == "content.variants[0].url"


def test_what_only_a_contact_can_make_wrong_is_said_when_it_is_rendered() -> None:
    content = Content.read({"type": "media", "kind": "image", "url": "{{ params.picture }}"})
    with pytest.raises(RenderFailed, match="url") as caught:
        content.render({**VALUES, "params": {"picture": "ftp://x"}}, who="+1", salt="c")
    assert caught.value.code == "content_invalid"
    with pytest.raises(RenderFailed, match=r"no params\.picture"):
        content.render(VALUES, who="+1", salt="c")


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"text": "Oi {{ x }}"}, r"content.variants\[0\].text line 1, column 7: there is no variable 'x'"),
        ({"type": "media", "kind": "image", "url": "x"}, r"content.variants\[0\].url"),
        ({"type": "media", "kind": "image"}, r"content.variants\[0\] give exactly one of url and media_id"),
        (
            {"type": "media", "kind": "audio", "url": "https://a.example/b", "caption": "{{ name }}"},
            r"\[0\].caption goes",
        ),
        (
            {"type": "media", "kind": "image", "media_id": UPLOAD, "caption": "{{ x }}"},
            r"\[0\].caption line 1, column 4",
        ),
        ({"type": "media", "kind": "image", "media_id": UPLOAD, "caption": "x" * 1025}, r"\[0\].caption has 1025"),
        ({**TEMPLATE, "template": "Promo!"}, r"content.variants\[0\].template string should match"),
        (
            {**TEMPLATE, "variables": {"1": "Oi\n{{ nme }}"}},
            r"\[0\].variables.1 line 2, column 4: there is no variable",
        ),
        ({**TEMPLATE, "variables": {"2": "a"}}, r"count them all from 1 without a gap"),
        ({**TEMPLATE, "buttons": [{"index": 11, "kind": "url", "value": "a"}]}, r"\[0\].buttons\[0\].index"),
        ({"type": "image", "url": "https://a.example/b"}, r"content.variants\[0\] .*'media'"),
        ({"variants": []}, r"content.variants"),
        ({"variants": [{"text": "a"}, {"text": "b"}]}, r"content.variants has 'A' twice"),
        ({"text": " "}, r"content.variants\[0\].text is empty"),
        ({"text": "a", "colour": "red"}, r"content.variants\[0\].colour"),
        (7, r"content"),
    ],
)
def test_a_malformed_content_is_refused_and_named(given_: object, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        Content.read(given_)


def test_an_empty_or_too_long_result_is_said_of_the_field() -> None:
    with pytest.raises(RenderFailed, match="text is empty for this contact"):
        Content.read("{{ name }}").render({**VALUES, "name": "  "}, who="+1", salt="c")
    with pytest.raises(RenderFailed, match="text has 5000 characters, more than 4096"):
        Content.read("{{ name }}").render({**VALUES, "name": "x" * 5000}, who="+1", salt="c")
