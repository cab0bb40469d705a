"""Which letters an action is for."""

from dataclasses import dataclass

from berrante.messaging.dead_letters.cause import Letter


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Letters that fit all that is given; nothing given is all of them.

    ``organization_id`` keeps an organization to its own; ``group`` is a ``Cause.id``. ``until_ms`` leaves out what
    failed later: what is put back and fails again is not taken up by the same action.
    """

    organization_id: str | None = None
    group: str | None = None
    queue: str | None = None
    until_ms: int | None = None

    def holds(self, letter: Letter) -> bool:
        """Tell whether the letter is meant."""
        return (
            (self.organization_id is None or letter.organization_id == self.organization_id)
            and (self.group is None or letter.cause.id == self.group)
            and (self.queue is None or letter.cause.queue == self.queue)
            and (self.until_ms is None or letter.failed_at_ms <= self.until_ms)
        )
