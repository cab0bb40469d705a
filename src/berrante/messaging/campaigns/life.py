"""The life of a campaign: which moves are legal from which status. Decisions without I/O."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from berrante.messaging.errors import WrongState


class Status(enum.StrEnum):
    """Where a campaign stands."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class Move(enum.StrEnum):
    """What can be asked of a campaign."""

    SCHEDULE = "schedule"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Step:
    """From any of ``sources`` to ``target``; asking again once it is there changes nothing."""

    sources: frozenset[Status]
    target: Status


def _step(target: Status, *sources: Status) -> Step:
    return Step(frozenset(sources), target)


STEPS: Final[Mapping[Move, Step]] = {
    Move.SCHEDULE: _step(Status.SCHEDULED, Status.DRAFT, Status.SCHEDULED),
    Move.START: _step(Status.RUNNING, Status.DRAFT, Status.SCHEDULED),
    Move.PAUSE: _step(Status.PAUSED, Status.RUNNING),
    Move.RESUME: _step(Status.RUNNING, Status.PAUSED),
    Move.CANCEL: _step(Status.CANCELLED, Status.DRAFT, Status.SCHEDULED, Status.RUNNING, Status.PAUSED),
    Move.RETRY: _step(Status.RUNNING, Status.FINISHED, Status.RUNNING, Status.PAUSED),
}


class IllegalMove(WrongState):
    """The campaign cannot do that now; ``legal`` are the moves that it can."""

    code = "illegal_move"

    def __init__(self, campaign_id: object, move: Move, status: Status) -> None:
        self.legal = legal(status)
        needed = " or ".join(sorted(STEPS[move].sources))
        super().__init__("campaign", campaign_id, state=status.value, needed=f"{needed} for {move}")
        self.details = {"status": status.value, "move": move.value, "legal": list(self.legal)}


def legal(status: Status) -> tuple[str, ...]:
    """Return the moves that lead somewhere from a status.

    >>> legal(Status.PAUSED)
    ('resume', 'cancel', 'retry')
    """
    return tuple(move.value for move, step in STEPS.items() if status in step.sources)


def is_done_already(move: Move, status: Status) -> bool:
    """Tell whether a move was made before: asking twice, or from two machines, is no error."""
    return move is not Move.RETRY and STEPS[move].target is status
