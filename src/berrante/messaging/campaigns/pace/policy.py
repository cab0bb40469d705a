"""How a campaign is paced, as its owner writes it down."""

from datetime import datetime, time
from functools import cached_property
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from berrante.messaging.campaigns.pace.hours import DAYS, Calendar, Hours
from berrante.messaging.campaigns.pace.zones import named_zone, zone_of
from berrante.messaging.errors import Invalid

DEFAULT_PER_MINUTE: Final = 100


class Quiet(BaseModel):
    """Wall-clock times between which nothing is sent; over midnight if ``to`` is the earlier."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    since: time = Field(alias="from")
    until: time = Field(alias="to")

    @field_validator("since", "until")
    @classmethod
    def _is_on_a_wall(cls, value: time) -> time:
        if value.tzinfo is not None:
            raise ValueError("give the time alone, for instance 21:00: the zone is the recipient's")
        return value

    @model_validator(mode="after")
    def _leaves_time(self) -> "Quiet":
        if self.since == self.until:
            raise ValueError("from and to are the same time: leave quiet out to send at all hours")
        return self


class Policy(BaseModel):
    """Pace of one number of the campaign, and hours of its recipients.

    A campaign only tightens what its numbers allow: the number's own rate holds beside ``per_minute``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: None: what the process is set to (``BERRANTE_CAMPAIGN_RATE_MAX``).
    per_minute: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    #: A gap between two messages is drawn from the mean gap, more or less this share of it.
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.3
    #: How many messages wait in a number's lane at most.
    window: Annotated[int, Field(ge=1, le=5_000)] = 10
    #: Messages per number on the campaign's first day, its second, …; after the last step there is no such limit.
    warm_up: Annotated[list[Annotated[int, Field(ge=1)]], Field(max_length=60)] = []
    #: Messages a day and number to people who never wrote to it.
    daily_first_contacts: Annotated[int, Field(ge=1)] | None = None
    daily: Annotated[int, Field(ge=1)] | None = None
    #: The campaign pauses itself once this share of its messages failed (of 20 at least); None: never.
    pause_at_failures: Annotated[float, Field(gt=0, le=1)] | None = 0.3
    #: The same for who opts out after its message, and for who is blocked or barred by WhatsApp then.
    pause_at_opt_outs: Annotated[float, Field(gt=0, le=1)] | None = 0.1
    pause_at_blocks: Annotated[float, Field(gt=0, le=1)] | None = 0.05
    quiet: Quiet | None = None
    days: Annotated[list[str], Field(min_length=1)] = list(DAYS)
    #: The campaign's own zone: its days, and recipients of whom no zone is known.
    zone: str = "UTC"
    #: The contact's field that names a zone, before the number is asked.
    zone_field: str | None = "timezone"

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        if named_zone(value) is None:
            raise ValueError(f"no such zone: {value[:40]!r}: give one as America/Sao_Paulo")
        return value

    @field_validator("days")
    @classmethod
    def _are_days(cls, value: list[str]) -> list[str]:
        if unknown := [day for day in value if day not in DAYS]:
            raise ValueError(f"no such day: {unknown[0][:20]!r}: give {', '.join(DAYS)}")
        return sorted(set(value), key=DAYS.index)

    @classmethod
    def read(cls, given: object) -> "Policy":
        """Read a policy; raises ``Invalid`` that names the field."""
        try:
            return cls.model_validate(given or {})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(("pace", *(str(part) for part in first["loc"])))
            problem = first["msg"].removeprefix("Value error, ")
            raise Invalid(where, problem[:1].lower() + problem[1:], remedy="see docs/campaigns.md") from None

    def at(self, per_minute: float) -> "Policy":
        """Return the policy with the rate that holds if it has none of its own."""
        return self if self.per_minute is not None else self.model_copy(update={"per_minute": per_minute})

    def stored(self) -> dict[str, Any]:
        """Return the policy as JSON, which ``read`` reads back."""
        return self.model_dump(mode="json", by_alias=True)

    @cached_property
    def own_zone(self) -> ZoneInfo:
        """The campaign's zone."""
        return ZoneInfo(self.zone)

    @cached_property
    def calendar(self) -> Calendar:
        """Quiet hours and days."""
        quiet = (self.quiet.since, self.quiet.until) if self.quiet else (None, None)
        days = frozenset(DAYS.index(day) for day in self.days)
        return Calendar(Hours(quiet_from=quiet[0], quiet_to=quiet[1], days=days))

    def next_allowed(self, now: datetime, *, phone: str, given_zone: object = None) -> datetime:
        """Return the first moment from ``now`` on at which a recipient may be written to."""
        return self.calendar.next_allowed(now, zone_of(phone, given=given_zone, otherwise=self.own_zone))
