"""A segment as SQL: expressions over ``contacts`` with bound parameters, each true or false and never null."""

import operator
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import ColumnElement, Numeric, and_, case, cast, false, func, literal, not_, or_, true

from berrante.messaging.campaigns.segments.conditions import (
    Ago,
    All,
    Compare,
    Condition,
    Either,
    Field,
    Flag,
    Has,
    Not,
    OneOf,
    Op,
    Tagged,
    Value,
)
from berrante.messaging.contacts.models import contacts

_COLUMNS: Final = {
    "name": contacts.c.name,
    "phone": contacts.c.address,
    "language": contacts.c.language,
    "instance": contacts.c.instance_id,
    "last_message_at": contacts.c.last_message_at,
    "first_seen_at": contacts.c.first_seen_at,
}
_FLAGS: Final[dict[str, Callable[[], ColumnElement[bool]]]] = {
    "everyone": true,
    "opted_in": lambda: contacts.c.consent == "opted_in",
    "opted_out": lambda: contacts.c.consent == "opted_out",
    "suppressed": lambda: contacts.c.suppressed_at.is_not(None),
    "blocked": lambda: contacts.c.blocked_at.is_not(None),
}
_OPERATORS: Final[dict[Op, Callable[[Any, Any], Any]]] = {
    Op.EQUAL: operator.eq,
    Op.LESS: operator.lt,
    Op.AT_MOST: operator.le,
    Op.MORE: operator.gt,
    Op.AT_LEAST: operator.ge,
    Op.CONTAINS: lambda column, value: func.strpos(column, value) > 0,
    Op.STARTS_WITH: func.starts_with,
}


def compiled(condition: Condition, *, now: datetime) -> ColumnElement[bool]:  # noqa: PLR0911  one per kind
    """Return the expression that tells whether a contact is in the segment at ``now``."""
    match condition:
        case Compare(field, Op.UNEQUAL, value):
            return not_(_compared(field, Op.EQUAL, value, now))
        case Compare(field, op, value):
            return _compared(field, op, value, now)
        case OneOf(field, values):
            return or_(*(_compared(field, Op.EQUAL, value, now) for value in values))
        case Has(field):
            if field.custom:
                return contacts.c.fields.op("?", is_comparison=True)(field.name)
            return _COLUMNS[field.name].is_not(None)
        case Tagged(tag):
            return contacts.c.tags.contains([tag])
        case Flag(name):
            return _FLAGS[name]()
        case Not(inner):
            return not_(compiled(inner, now=now))
        case All(inner):
            return and_(*(compiled(each, now=now) for each in inner))
        case Either(inner):
            return or_(*(compiled(each, now=now) for each in inner))


def _compared(field: Field, op: Op, value: Value, now: datetime) -> ColumnElement[bool]:
    if isinstance(value, Ago):
        value = now - value.span
    compare = _OPERATORS[op]
    if not field.custom:
        return func.coalesce(compare(_COLUMNS[field.name], value), false())
    held = contacts.c.fields[field.name]
    kind = func.jsonb_typeof(held)
    # CASE, since AND may compare first, and a text is no number.
    match value:
        case bool():
            return case((kind == "boolean", held.astext == literal("true" if value else "false")), else_=false())
        case Decimal():
            return case((kind == "number", compare(cast(held.astext, Numeric), literal(value, Numeric))), else_=false())
        case _:
            return case((kind == "string", compare(held.astext, value)), else_=false())
