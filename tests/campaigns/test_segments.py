"""Segments: read or refused with the place, and the same to PostgreSQL as to a plain model."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from berrante.messaging.campaigns.segments import Condition, Facts, SegmentInvalid, compiled, matches, parse
from berrante.messaging.campaigns.segments.conditions import (
    ORDERED,
    Ago,
    All,
    Compare,
    Either,
    Field,
    Flag,
    Has,
    Kind,
    Not,
    OneOf,
    Op,
    Tagged,
)
from berrante.messaging.campaigns.segments.parsing import FIELDS, FLAGS
from berrante.messaging.contacts.models import contacts
from berrante.messaging.instances.models import instances
from berrante.messaging.organizations.models import organizations
from berrante.store import new_id

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ANA = Facts(
    phone="+5581999990001",
    instance="sales",
    first_seen_at=NOW - timedelta(days=400),
    name="Ana",
    last_message_at=NOW - timedelta(days=3),
    tags=frozenset({"vip"}),
    fields={"city": "Recife", "orders": 3, "gold": True},
    consent="opted_in",
)


@pytest.mark.parametrize(
    ("source", "in_it"),
    [
        ('tag("vip") and fields.city == "Recife" and not opted_out and last_message_at > ago(30 days)', True),
        ("last_message_at > ago(2 days)", False),
        ('first_seen_at < date("2026-01-01") and phone starts_with "+55"', True),
        ("fields.orders >= 3 and fields.orders < 3.5 and fields.gold == true", True),
        ('fields.orders == "3"', False),
        ('fields.street != "x" and not has(fields.street) and has(name)', True),
        ("fields.orders in [1, 2] or fields.orders in [3]", True),
        ("opted_out or suppressed or blocked", False),
        ('everyone and (name contains "na" or tag("x"))', True),
        ('not not tag("vip") and language != "pt"', True),
    ],
)
def test_a_segment_says_who_is_in_it(source: str, in_it: bool) -> None:
    assert matches(parse(source), ANA, now=NOW) is in_it


@pytest.mark.parametrize(
    ("source", "position", "found", "expected"),
    [
        ("", 1, "the end", 'tag("…")'),
        ("tag(vip)", 5, "'vip'", "a text in quotes"),
        ('tag("vip"', 10, "the end", "')'"),
        ('tag("vip', 5, "'\"vip'", "ends with a quote"),
        ('tag("a") tag("b")', 10, "'tag'", "and, or, or the end"),
        ("city == 1", 1, "'city'", "fields.…"),
        ("fields.City == 1", 1, "'fields.City'", "fields.…"),
        ("name > 1", 6, "'>'", "texts have no order"),
        ("name == 1", 9, "'1'", "something else than a number"),
        ('last_message_at > "x"', 19, "'\"x\"'", "something else than a text"),
        ('fields.x > "a"', 12, "'\"a\"'", "something else than a text"),
        ("fields.x contains 3", 19, "'3'", "something else than a number"),
        ("last_message_at > ago(3 moons)", 25, "'moons'", "minutes, hours, days or weeks"),
        ("last_message_at > ago(-1 days)", 23, "'-1'", "a whole number from 0"),
        ('last_message_at > date("soon")', 24, "'\"soon\"'", "2026-01-31"),
        ("fields.x == 1; drop", 14, "'; drop'", "a field, a value or a sign"),
        ("fields.x in []", 14, "']'", "a value"),
        ("fields.x", 9, "the end", "in, =="),
        ('name == "\0"', 9, "'\"\\x00\"'", "without U+0000"),
        ("not " * 60 + "everyone", 161, "'not'", "at most 40 levels"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_position(
    source: str, position: int, found: str, expected: str
) -> None:
    with pytest.raises(SegmentInvalid) as caught:
        parse(source)
    assert (caught.value.position, expected in caught.value.expected) == (position, True), str(caught.value)
    assert f"found {found}" in str(caught.value)


@given(st.text(alphabet='tag()"vip andornotfields.x=!<>0123[],ago days', max_size=60))
def test_no_text_raises_anything_else(source: str) -> None:
    position = 1
    try:
        parse(source)
    except SegmentInvalid as error:
        position = error.position
    assert 1 <= position <= len(source) + 1


def test_values_are_bound_and_never_part_of_the_statement() -> None:
    secret = "'; DROP TABLE contacts; --"
    condition = All((Tagged(secret), Compare(Field("city", Kind.ANY, custom=True), Op.CONTAINS, secret)))
    assert secret not in str(compiled(condition, now=NOW).compile(dialect=postgresql.dialect()))


TEXTS = st.sampled_from(["", "a", "ab", "A", "á", "3", "true", "%", "_", "\\", '"', "null"])
NUMBERS = st.sampled_from([-1, 0, 1, 3, 0.1, 3.5, 1e15, 10**15])
SPANS = st.integers(0, 3).map(lambda days: timedelta(days=days))
KEYS = st.sampled_from(["x", "y"])


@st.composite
def conditions(draw: st.DrawFn, depth: int = 3) -> Condition:
    if depth and draw(st.booleans()):
        inner = conditions(depth - 1)
        kind = draw(st.sampled_from([Not, All, Either]))
        if kind is Not:
            return Not(draw(inner))
        return kind(tuple(draw(st.lists(inner, min_size=1, max_size=3))))
    custom = draw(st.booleans())
    name = draw(KEYS if custom else st.sampled_from(sorted(FIELDS)))
    field = Field(name, Kind.ANY if custom else FIELDS[name], custom=custom)
    match draw(st.sampled_from(["flag", "tag", "has", "one of", "compare", "compare"])):
        case "flag":
            return Flag(draw(st.sampled_from(FLAGS)))
        case "tag":
            return Tagged(draw(TEXTS))
        case "has":
            return Has(field)
        case "one of":
            return OneOf(field, tuple(draw(st.lists(_values(field, Op.EQUAL), min_size=1, max_size=3))))
    ops = [op for op in Op if not (field.kind is Kind.TEXT and op in ORDERED)]
    if field.kind is Kind.MOMENT:
        ops = [op for op in ops if op not in {Op.CONTAINS, Op.STARTS_WITH}]
    op = draw(st.sampled_from(ops))
    return Compare(field, op, draw(_values(field, op)))


def _values(field: Field, op: Op) -> st.SearchStrategy[Any]:
    if field.kind is Kind.MOMENT:
        return st.one_of(SPANS.map(Ago), SPANS.map(lambda span: NOW - span))
    numbers = NUMBERS.map(lambda number: Decimal(str(number)))
    if op in ORDERED:
        return numbers
    if field.kind is Kind.TEXT or op in {Op.CONTAINS, Op.STARTS_WITH}:
        return TEXTS
    return st.one_of(TEXTS, numbers, st.booleans())


PEOPLE = st.builds(
    Facts,
    phone=st.just("+551"),
    instance=st.just("sales"),
    first_seen_at=SPANS.map(lambda span: NOW - span),
    name=st.none() | TEXTS,
    language=st.none() | TEXTS,
    last_message_at=st.none() | SPANS.map(lambda span: NOW - span),
    tags=st.frozensets(TEXTS, max_size=3),
    fields=st.dictionaries(KEYS, TEXTS | NUMBERS | st.booleans()),
    consent=st.sampled_from(["unknown", "opted_in", "opted_out"]),
    suppressed=st.booleans(),
    blocked=st.booleans(),
)


class _Sql:
    """Asks PostgreSQL who of some people is in a segment, and leaves nothing behind."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._engine = create_async_engine(url)
        self.organization_id = new_id()
        self._runner.run(self._prepare())

    async def _prepare(self) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(insert(organizations).values(id=self.organization_id, name="Acme"))
            row = {"id": "sales", "organization_id": self.organization_id, "gateway": "simulator"}
            await connection.execute(insert(instances).values(row))

    def who(self, condition: Condition, people: list[Facts]) -> list[bool]:
        return self._runner.run(self._who(condition, people))

    async def _who(self, condition: Condition, people: list[Facts]) -> list[bool]:
        async with self._engine.connect() as connection:
            await self._store(connection, people)
            query = select(contacts.c.id, compiled(condition, now=NOW)).order_by(contacts.c.address)
            answers = [row[1] for row in await connection.execute(query)]
            await connection.rollback()
        return answers

    async def _store(self, connection: AsyncConnection, people: list[Facts]) -> None:
        for facts in people:
            row = {
                "id": new_id(),
                "organization_id": self.organization_id,
                "instance_id": facts.instance,
                "address": facts.phone,
                "name": facts.name,
                "language": facts.language,
                "fields": dict(facts.fields),
                "tags": sorted(facts.tags),
                "consent": facts.consent,
                "suppressed_at": NOW if facts.suppressed else None,
                "blocked_at": NOW if facts.blocked else None,
                "first_seen_at": facts.first_seen_at,
                "last_message_at": facts.last_message_at,
            }
            await connection.execute(insert(contacts).values(row))

    def close(self) -> None:
        self._runner.run(self._engine.dispose())
        self._runner.close()


@pytest.fixture
def sql(database_url: str) -> Iterator[_Sql]:
    sql = _Sql(database_url)
    yield sql
    sql.close()


X = Field("x", Kind.ANY, custom=True)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conditions(), st.lists(PEOPLE, min_size=1, max_size=4))
@example(Compare(X, Op.LESS, Decimal(3)), [replace(ANA, fields={"x": "text"}), replace(ANA, fields={"x": True})])
def test_postgresql_answers_what_the_plain_model_answers(sql: _Sql, condition: Condition, people: list[Facts]) -> None:
    people = [replace(facts, phone=f"+5511000{number}", instance="sales") for number, facts in enumerate(people)]
    assert sql.who(condition, people) == [matches(condition, facts, now=NOW) for facts in people]
