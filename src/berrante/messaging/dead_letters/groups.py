"""Counts letters by cause, in memory that does not grow with their number."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from berrante.messaging.dead_letters.cause import Cause, Letter
from berrante.messaging.dead_letters.remedies import remedy

#: A cause whose code varies with every job would otherwise make a group of each.
MOST_GROUPS: Final = 500
_LONGEST_SAMPLE: Final = 300


@dataclass(kw_only=True, slots=True)
class Group:
    """The letters of one cause; times are milliseconds since the epoch, the sample is the latest letter.

    ``healed_at_ms`` is set by ``Healing``: when what failed worked again.
    """

    cause: Cause
    count: int
    first_at_ms: int
    last_at_ms: int
    sample_id: str
    sample_reason: str
    remedy: str
    healed_at_ms: int | None = None

    @property
    def id(self) -> str:
        """The group's short name."""
        return self.cause.id


class Groups:
    """Groups that grow letter by letter. ``left_out`` counts letters of causes beyond the first 500."""

    def __init__(self) -> None:
        self._groups: dict[Cause, Group] = {}
        self.left_out = 0

    def add(self, letters: Iterable[Letter]) -> None:
        """Count letters."""
        for letter in letters:
            group = self._groups.get(letter.cause)
            if group is not None:
                self._join(group, letter)
            elif len(self._groups) < MOST_GROUPS:
                self._groups[letter.cause] = _begun(letter)
            else:
                self.left_out += 1

    def largest_first(self) -> list[Group]:
        """Return the groups, the largest first."""
        return sorted(self._groups.values(), key=lambda group: (-group.count, group.id))

    def _join(self, group: Group, letter: Letter) -> None:
        group.count += 1
        group.first_at_ms = min(group.first_at_ms, letter.failed_at_ms)
        if letter.failed_at_ms >= group.last_at_ms:
            group.last_at_ms = letter.failed_at_ms
            group.sample_id, group.sample_reason = letter.id, letter.reason[:_LONGEST_SAMPLE]


def _begun(letter: Letter) -> Group:
    return Group(
        cause=letter.cause,
        count=1,
        first_at_ms=letter.failed_at_ms,
        last_at_ms=letter.failed_at_ms,
        sample_id=letter.id,
        sample_reason=letter.reason[:_LONGEST_SAMPLE],
        remedy=remedy(letter.cause, reason=letter.reason),
    )
