"""Who gets which variant, and which number writes to whom: by a hash of the recipient, so the answer never changes.

The same point is computed by PostgreSQL when an audience is frozen (``point_of``), hence MD5, which it has built in;
nothing here is a secret.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Text, case, cast, func, literal, literal_column
from sqlalchemy.dialects.postgresql import BIT

from berrante.messaging.errors import Invalid

_POINTS: Final = 2**32


@dataclass(frozen=True, slots=True)
class Shares:
    """Names with weights; a weight is a share of their sum.

    >>> Shares((("A", 3), ("B", 1))).of("+5511999990001", salt="x") in {"A", "B"}
    True
    """

    weights: tuple[tuple[str, int], ...]

    @classmethod
    def checked(cls, weights: Sequence[tuple[str, int]], *, field: str) -> "Shares":
        """Return the shares; raises ``Invalid`` for none, a name twice, or a weight that is no share."""
        names = [name for name, _ in weights]
        if not names:
            raise Invalid(field, "is empty", remedy="give at least one")
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise Invalid(field, f"has {twice!r} twice", remedy="give each once")
        if len(names) > 26:
            raise Invalid(field, f"has {len(names)} entries", remedy="give at most 26")
        for name, weight in weights:
            if not 1 <= weight <= 1_000_000:
                raise Invalid(field, f"gives {name!r} the weight {weight}", remedy="give 1 to 1000000")
        return cls(tuple(weights))

    def of(self, who: str, *, salt: str) -> str:
        """Return the name that falls to ``who``."""
        at = point(who, salt=salt)
        return next(name for name, bound in self._bounds() if at < bound)

    def column(self, who: ColumnElement[str], *, salt: str) -> ColumnElement[str]:
        """Return the SQL of ``of``: the same answer for the same recipient."""
        if len(self.weights) == 1:
            return literal(self.weights[0][0], Text)
        at = point_of(who, salt=salt)
        *others, last = self._bounds()
        return case(*((at < bound, literal(name, Text)) for name, bound in others), else_=literal(last[0], Text))

    def _bounds(self) -> list[tuple[str, int]]:
        total = sum(weight for _, weight in self.weights)
        bounds, sum_ = [], 0
        for name, weight in self.weights:
            sum_ += weight
            bounds.append((name, _POINTS * sum_ // total))
        return bounds


def point(who: str, *, salt: str) -> int:
    """Return where ``who`` falls, from 0 to 2**32 - 1."""
    return int.from_bytes(hashlib.md5(f"{salt}:{who}".encode(), usedforsecurity=False).digest()[:4])


def point_of(who: ColumnElement[str], *, salt: str) -> ColumnElement[Any]:
    """Return the SQL of ``point``."""
    digest = func.md5(literal(f"{salt}:", Text) + who)
    bits = cast(literal("x", Text) + func.substr(digest, 1, 8), BIT(32))
    return cast(bits, BigInteger).op("&")(literal_column("4294967295"))
