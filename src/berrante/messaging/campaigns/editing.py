"""What may be changed of a campaign that exists, and when."""

import enum
from typing import Any, Final

from berrante.messaging.campaigns.campaign import Campaign
from berrante.messaging.campaigns.content import Content
from berrante.messaging.campaigns.life import Status
from berrante.messaging.campaigns.pace import Policy
from berrante.messaging.errors import Invalid, WrongState
from berrante.messaging.fields import named


class Unchanged(enum.Enum):
    """What is not given stays, where None is a value of its own."""

    UNCHANGED = enum.auto()


UNCHANGED: Final = Unchanged.UNCHANGED
_ENDED = frozenset({Status.FINISHED, Status.CANCELLED})


def edited(campaign: Campaign, *, name: str | None, content: object, pace: object) -> dict[str, Any]:
    """Return the columns that change; raises ``Invalid`` or ``WrongState``.

    Once the audience is frozen, variants keep their names, since each recipient has one.
    """
    values: dict[str, Any] = {}
    if name is not None:
        values["name"] = named(name)
    if (content is not None or pace is not None) and campaign.status in _ENDED:
        raise WrongState(
            "campaign", campaign.id, state=campaign.status.value, needed="draft, scheduled, running or paused"
        )
    if content is not None:
        new = Content.read(content, organization_id=campaign.organization_id)
        lost = {each for each, _ in campaign.content.shares.weights} - {each for each, _ in new.shares.weights}
        if lost and campaign.started_at is not None:
            problem = f"has no variant {min(lost)!r}, which recipients were given"
            raise Invalid("content.variants", problem, remedy="keep the names of the variants; texts may change")
        values["content"] = new.stored()
    if pace is not None:
        values["pace"] = Policy.read(pace).stored()
    return values
