"""A segment in plain Python: what the SQL has to answer, and what a preview of one contact uses."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

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

_OPERATORS: Final[dict[Op, Callable[[Any, Any], bool]]] = {
    Op.EQUAL: operator.eq,
    Op.LESS: operator.lt,
    Op.AT_MOST: operator.le,
    Op.MORE: operator.gt,
    Op.AT_LEAST: operator.ge,
    Op.CONTAINS: operator.contains,
    Op.STARTS_WITH: str.startswith,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What segments may ask of a contact."""

    phone: str
    instance: str
    first_seen_at: datetime
    name: str | None = None
    language: str | None = None
    last_message_at: datetime | None = None
    tags: frozenset[str] = frozenset()
    fields: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    consent: str = "unknown"
    suppressed: bool = False
    blocked: bool = False


def matches(condition: Condition, facts: Facts, *, now: datetime) -> bool:  # noqa: PLR0911  one per kind
    """Tell whether the contact is in the segment at ``now``."""
    match condition:
        case Compare(field, Op.UNEQUAL, value):
            return not _compared(field, Op.EQUAL, value, facts, now)
        case Compare(field, op, value):
            return _compared(field, op, value, facts, now)
        case OneOf(field, values):
            return any(_compared(field, Op.EQUAL, value, facts, now) for value in values)
        case Has(field):
            return _held(field, facts) is not None
        case Tagged(tag):
            return tag in facts.tags
        case Flag("everyone"):
            return True
        case Flag("suppressed" | "blocked" as name):
            return bool(getattr(facts, name))
        case Flag(name):
            return facts.consent == name
        case Not(inner):
            return not matches(inner, facts, now=now)
        case All(inner):
            return all(matches(each, facts, now=now) for each in inner)
        case Either(inner):
            return any(matches(each, facts, now=now) for each in inner)


def _held(field: Field, facts: Facts) -> Any:  # noqa: ANN401  whatever the field holds
    return facts.fields.get(field.name) if field.custom else getattr(facts, field.name)


def _compared(field: Field, op: Op, value: Value, facts: Facts, now: datetime) -> bool:
    if isinstance(value, Ago):
        value = now - value.span
    held = _held(field, facts)
    if isinstance(held, int | float) and not isinstance(held, bool):
        held = Decimal(str(held))  # as JSON writes it, which is what PostgreSQL compares
    if type(held) is not type(value):
        return False
    return _OPERATORS[op](held, value)
