"""Reads a segment, for instance ``tag("vip") and fields.city == "Recife" and last_message_at > ago(30 days)``.

``or`` binds weakest, then ``and``, then ``not``. The whole language is described in ``docs/campaigns.md``.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from berrante.messaging.campaigns.segments.conditions import (
    ORDERED,
    Ago,
    All,
    Compare,
    Condition,
    Either,
    Field,
    Flag,
    Has,
    Kind,
    Not,
    OneOf,
    Op,
    Tagged,
    Value,
)
from berrante.messaging.campaigns.segments.errors import SegmentInvalid
from berrante.messaging.campaigns.segments.lexing import Token, tokens
from berrante.messaging.fields import storable

MAX_SOURCE: Final = 4_000
_MAX_DEPTH: Final = 40
_MAX_VALUES: Final = 200

FLAGS: Final = ("everyone", "opted_in", "opted_out", "suppressed", "blocked")
FIELDS: Final = {
    "name": Kind.TEXT,
    "phone": Kind.TEXT,
    "language": Kind.TEXT,
    "instance": Kind.TEXT,
    "last_message_at": Kind.MOMENT,
    "first_seen_at": Kind.MOMENT,
}
_CUSTOM: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_UNITS: Final = {"minute": "minutes", "hour": "hours", "day": "days", "week": "weeks"}
_SUBJECT: Final = 'tag("…"), has(…), a field ({}, fields.…), {}, not or ('.format(", ".join(FIELDS), ", ".join(FLAGS))


def parse(source: str) -> Condition:
    """Read a segment; raises ``SegmentInvalid`` with the position and what was expected there.

    >>> parse('tag("vip") and not opted_out')
    All(conditions=(Tagged(tag='vip'), Not(condition=Flag(name='opted_out'))))
    """
    if len(source) > MAX_SOURCE:
        found, expected = f"{len(source)} characters", f"at most {MAX_SOURCE}"
        raise SegmentInvalid(MAX_SOURCE, found=found, expected=expected)
    return _Parser(source).whole()


class _Parser:
    def __init__(self, source: str) -> None:
        self._tokens = tokens(source)
        self._at = 0
        self._depth = 0

    def whole(self) -> Condition:
        condition = self._either()
        if self._now.kind != "end":
            raise self._error("and, or, or the end")
        return condition

    @property
    def _now(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._now
        self._at += 1
        return token

    def _takes(self, text: str) -> bool:
        if self._now.kind in {"word", "sign"} and self._now.text == text:
            self._at += 1
            return True
        return False

    def _need(self, text: str) -> None:
        if not self._takes(text):
            raise self._error(repr(text))

    def _error(self, expected: str, token: Token | None = None) -> SegmentInvalid:
        token = token or self._now
        return SegmentInvalid(token.index, found=token.shown, expected=expected)

    def _either(self) -> Condition:
        found = [self._all()]
        while self._takes("or"):
            found.append(self._all())
        return found[0] if len(found) == 1 else Either(tuple(found))

    def _all(self) -> Condition:
        found = [self._not()]
        while self._takes("and"):
            found.append(self._not())
        return found[0] if len(found) == 1 else All(tuple(found))

    def _not(self) -> Condition:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._error(f"at most {_MAX_DEPTH} levels of brackets and not")
        try:
            return Not(self._not()) if self._takes("not") else self._single()
        finally:
            self._depth -= 1

    def _single(self) -> Condition:
        if self._takes("("):
            condition = self._either()
            self._need(")")
            return condition
        if self._now.kind != "word":
            raise self._error(_SUBJECT)
        if self._takes("tag"):
            return Tagged(self._bracketed_text())
        if self._takes("has"):
            self._need("(")
            field = self._field()
            self._need(")")
            return Has(field)
        if self._now.text in FLAGS:
            return Flag(self._take().text)
        return self._comparison(self._field())

    def _bracketed_text(self) -> str:
        self._need("(")
        text = self._text()
        self._need(")")
        return text

    def _field(self) -> Field:
        name = self._now.text
        if self._now.kind == "word" and name in FIELDS:
            return Field(self._take().text, FIELDS[name])
        group, dot, custom = name.partition(".")
        if self._now.kind == "word" and dot and group == "fields" and _CUSTOM.fullmatch(custom):
            self._at += 1
            return Field(custom, Kind.ANY, custom=True)
        raise self._error(_SUBJECT)

    def _comparison(self, field: Field) -> Condition:
        if self._takes("in"):
            self._need("[")
            values = [self._value(field, Op.EQUAL)]
            while self._takes(","):
                if len(values) == _MAX_VALUES:
                    raise self._error(f"at most {_MAX_VALUES} values")
                values.append(self._value(field, Op.EQUAL))
            self._need("]")
            return OneOf(field, tuple(values))
        op = next((op for op in Op if self._takes(op.value)), None)
        if op is None:
            raise self._error("in, " + ", ".join(Op))
        if op in ORDERED and field.kind is Kind.TEXT:
            raise self._error("==, !=, in, contains or starts_with: texts have no order", self._tokens[self._at - 1])
        return Compare(field, op, self._value(field, op))

    def _value(self, field: Field, op: Op) -> Value:
        at = self._now
        value = self._any_value()
        if isinstance(value, datetime | Ago):
            kind, fits = "a point in time", field.kind is Kind.MOMENT and op not in {Op.CONTAINS, Op.STARTS_WITH}
        elif isinstance(value, str):
            kind, fits = "a text", field.kind is not Kind.MOMENT and op not in ORDERED
        elif isinstance(value, bool):
            kind, fits = "true or false", field.kind is Kind.ANY and op in {Op.EQUAL, Op.UNEQUAL}
        else:
            kind, fits = "a number", field.kind is Kind.ANY and op not in {Op.CONTAINS, Op.STARTS_WITH}
        if not fits:
            raise self._error(f"something else than {kind}: {field.name} {op} does not compare with it", at)
        return value

    def _any_value(self) -> Value:
        if self._now.kind == "text":
            return self._text()
        if self._now.kind == "number":
            return Decimal(self._take().text)
        for word, truth in (("true", True), ("false", False)):
            if self._takes(word):
                return truth
        if self._takes("ago"):
            return self._ago()
        if self._takes("date"):
            return self._date()
        raise self._error('a value: "text", a number, true, false, ago(30 days) or date("2026-01-31")')

    def _text(self) -> str:
        if self._now.kind != "text":
            raise self._error('a text in quotes: "…"')
        text = re.sub(r"\\(.)", r"\1", self._now.text[1:-1])
        if storable(text) != text:
            raise self._error("a text without U+0000 and lone surrogates")
        self._at += 1
        return text

    def _ago(self) -> Ago:
        self._need("(")
        number = self._now
        if number.kind != "number" or not number.text.isdecimal() or int(number.text) > 36_500:
            raise self._error("a whole number from 0 to 36500")
        self._at += 1
        unit = _UNITS.get(self._now.text.removesuffix("s")) if self._now.kind == "word" else None
        if unit is None:
            raise self._error("minutes, hours, days or weeks")
        self._at += 1
        self._need(")")
        return Ago(timedelta(**{unit: int(number.text)}))

    def _date(self) -> datetime:
        self._need("(")
        at = self._now
        try:
            moment = datetime.fromisoformat(self._text())
        except ValueError:
            raise self._error('a date or time as in "2026-01-31" or "2026-01-31T09:00-03:00"', at) from None
        self._need(")")
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
