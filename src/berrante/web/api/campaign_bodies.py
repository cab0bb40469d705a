"""What the routes of campaigns take."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from berrante.messaging.campaigns.campaign import ReplyMode
from berrante.web.api.shapes import Strict


class CampaignIn(Strict):
    """A campaign to make: ``recipients``, ``segment`` or a file that follows; ``text`` or ``content``."""

    name: str
    instance_id: str | list[str] | dict[str, int]
    text: str | None = None
    content: dict[str, Any] | None = None
    recipients: list[str | dict[str, Any]] | None = None
    segment: str | None = None
    rest_days: int | None = None
    pace: dict[str, Any] | None = None
    reply_automation_id: UUID | None = None
    reply_automation_mode: ReplyMode = ReplyMode.INSTEAD


class CampaignChange(Strict):
    """What is to change; what is left out stays."""

    name: str | None = None
    content: dict[str, Any] | None = None
    text: str | None = None
    pace: dict[str, Any] | None = None
    reply_automation_id: UUID | None = None
    reply_automation_mode: ReplyMode | None = None


class ScheduleIn(Strict):
    """When to start; with a zone."""

    start_at: datetime


class RetryIn(Strict):
    """Which recipients: of one failure ``code``, or all that failed; ``in_doubt`` may be seen twice."""

    code: Annotated[str, Field(max_length=100)] | None = None
    in_doubt: bool = False


class PreviewIn(Strict):
    """For whom: a contact, or a number of whom nothing but ``params`` is known."""

    contact_id: UUID | None = None
    phone: str | None = None
    params: dict[str, str] | None = None
    variant: str | None = None


class TestIn(PreviewIn):
    """A preview that is sent ``to`` a number of one's own, by the campaign's first number."""

    to: str


class RehearseIn(Strict):
    """From when; without it from the scheduled start, or now. ``reply_share``: how many of those who get it answer."""

    start_at: datetime | None = None
    reply_share: Annotated[float, Field(ge=0, le=1)] | None = None


class SettingsIn(Strict):
    """Opt-out words by language (null: the usual ones), for how many hours an answer counts as one, and a reply.

    ``opt_out_reply`` confirms an opt-out to whoever typed the word, once; null: nothing is answered.
    """

    opt_out_words: dict[str, list[str]] | None = None
    reply_hours: int = 72
    opt_out_reply: str | None = None
