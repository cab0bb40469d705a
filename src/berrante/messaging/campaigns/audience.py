"""Whom a campaign is for, as its owner writes it down: a list of numbers, or a segment of contacts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from berrante.messaging.addresses import checked
from berrante.messaging.campaigns.segments import parse
from berrante.messaging.errors import Invalid
from berrante.messaging.fields import storable

MOST: Final = 1_000_000
_MOST_PARAMS: Final = 50
LONGEST_PARAM: Final = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Audience:
    """Either a list, whose numbers are rows of their own, or all contacts of a segment.

    ``rest_days``: who got a campaign's message within so many days is left out.
    """

    segment: str | None = None
    rest_days: int | None = None

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> "Audience":
        """Return a stored audience."""
        return cls(segment=given.get("segment"), rest_days=given.get("rest_days"))

    @classmethod
    def checked(cls, *, segment: str | None, rest_days: int | None) -> "Audience":
        """Return the audience; raises ``Invalid`` with the place of what is wrong with the segment."""
        if segment is not None:
            parse(segment)
        if rest_days is not None and not 1 <= rest_days <= 365:
            raise Invalid("rest_days", f"is {rest_days}", remedy="give 1 to 365")
        return cls(segment=segment, rest_days=rest_days)

    def stored(self) -> dict[str, Any]:
        """Return the audience as JSON."""
        kind = "list" if self.segment is None else "segment"
        return {"kind": kind, "segment": self.segment, "rest_days": self.rest_days}


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One line of a list: a number as it is kept, and the parameters that its line gives.

    ``problem`` says why it is no number; ``address`` is what was written then.
    """

    address: str
    params: Mapping[str, str]
    problem: str | None = None


def entries(recipients: Iterable[str | Mapping[str, Any]]) -> list[Entry]:
    """Return the lines of a list in order; each is a number, or an object with ``phone`` and parameters.

    A number given twice stays twice: the second is excluded, and said to be. Raises ``Invalid`` that names the line.
    """
    if isinstance(recipients, str | Mapping):
        raise Invalid("recipients", "is no list", remedy="give a list of phone numbers")
    found = [_entry(each, f"recipients[{index}]") for index, each in enumerate(recipients)]
    if not found:
        raise Invalid("recipients", "is empty", remedy="give at least one phone number")
    if len(found) > MOST:
        raise Invalid("recipients", f"has {len(found)} numbers", remedy=f"give at most {MOST} per campaign")
    return found


def _entry(given: str | Mapping[str, Any], field: str) -> Entry:
    if isinstance(given, str):
        return Entry(address=checked(given, field=field), params={})
    phone = given.get("phone")
    if not isinstance(phone, str):
        raise Invalid(field, "has no phone", remedy='give a number, or {"phone": "+5511999990001", "city": "Recife"}')
    params = {str(name): str(value) for name, value in given.items() if name != "phone" and value is not None}
    if len(params) > _MOST_PARAMS or any(len(value) > LONGEST_PARAM for value in params.values()):
        raise Invalid(field, "has too much", remedy=f"give at most {_MOST_PARAMS} values of {LONGEST_PARAM} characters")
    clean = {storable(name): storable(value) for name, value in params.items()}
    return Entry(address=checked(phone, field=f"{field}.phone"), params=clean)


def numbers_of(instances: Sequence[str] | Mapping[str, int] | str) -> list[tuple[str, int]]:
    """Return the numbers of a campaign with their weights, from one id, several, or ids with weights."""
    if isinstance(instances, str):
        return [(instances, 1)]
    if isinstance(instances, Mapping):
        return [(str(name), int(weight)) for name, weight in instances.items()]
    return [(name, 1) for name in instances]
