"""What a segment says, as a tree. A condition is true or false of a contact, never unknown."""

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal


class Kind(enum.Enum):
    """What a field holds, so what it may be compared with."""

    TEXT = "text"
    MOMENT = "a point in time"
    ANY = "text, a number, true or false"


class Op(enum.StrEnum):
    """How two values are compared."""

    EQUAL = "=="
    UNEQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    CONTAINS = "contains"
    STARTS_WITH = "starts_with"


ORDERED = frozenset({Op.LESS, Op.AT_MOST, Op.MORE, Op.AT_LEAST})


@dataclass(frozen=True, slots=True)
class Ago:
    """A point in time, counted back from when the segment is used."""

    span: timedelta


Value = str | Decimal | bool | datetime | Ago


@dataclass(frozen=True, slots=True)
class Field:
    """A contact's own field, or with ``custom`` one of ``fields.…``."""

    name: str
    kind: Kind
    custom: bool = False


@dataclass(frozen=True, slots=True)
class Compare:
    """The field holds a value of the same kind for which the comparison holds; ``!=`` is the opposite of ``==``."""

    field: Field
    op: Op
    value: Value


@dataclass(frozen=True, slots=True)
class OneOf:
    """The field equals one of the values."""

    field: Field
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Has:
    """The field holds anything."""

    field: Field


@dataclass(frozen=True, slots=True)
class Tagged:
    """The contact has the tag."""

    tag: str


@dataclass(frozen=True, slots=True)
class Flag:
    """``opted_in``, ``opted_out``, ``suppressed``, ``blocked`` or ``everyone``."""

    name: str


@dataclass(frozen=True, slots=True)
class Not:
    """The condition is false."""

    condition: "Condition"


@dataclass(frozen=True, slots=True)
class All:
    """All are true."""

    conditions: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Either:
    """At least one is true."""

    conditions: "tuple[Condition, ...]"


Condition = Compare | OneOf | Has | Tagged | Flag | Not | All | Either
