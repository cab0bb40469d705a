"""What an organization sets of a number: its pace, its quiet hours, its warm-up, and whether it pauses.

Kept as JSON in ``instances.settings``; these values are what the rest of the code reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from berrante.messaging.errors import Invalid

_DAY_MS: Final = 24 * 3_600_000


@dataclass(frozen=True, kw_only=True, slots=True)
class QuietHours:
    """Hours of each day in which no campaign writes, in the wall clock of a time zone; they may span midnight."""

    start: time
    end: time
    time_zone: str

    def until(self, now: datetime) -> datetime | None:
        """Return when the quiet hours that hold ``now`` end; None if it is not quiet.

        >>> from datetime import UTC
        >>> night = QuietHours(start=time(22), end=time(8), time_zone="America/Sao_Paulo")
        >>> night.until(datetime(2026, 1, 2, 2, 0, tzinfo=UTC)).isoformat()
        '2026-01-02T08:00:00-03:00'
        >>> night.until(datetime(2026, 1, 2, 12, 0, tzinfo=UTC))
        """
        here = now.astimezone(ZoneInfo(self.time_zone))
        at = here.timetz().replace(tzinfo=None)
        if self.start < self.end:
            is_quiet, tomorrow = self.start <= at < self.end, False
        else:
            is_quiet, tomorrow = at >= self.start or at < self.end, at >= self.start
        if not is_quiet:
            return None
        return datetime.combine(here.date() + timedelta(days=tomorrow), self.end, tzinfo=here.tzinfo)

    def span(self, now: datetime) -> tuple[bool, datetime]:
        """Tell whether it is quiet, and until when that holds.

        >>> from datetime import UTC
        >>> night = QuietHours(start=time(22), end=time(8), time_zone="America/Sao_Paulo")
        >>> is_quiet, until = night.span(datetime(2026, 1, 2, 12, 0, tzinfo=UTC))
        >>> is_quiet, until.isoformat()
        (False, '2026-01-02T22:00:00-03:00')
        """
        until = self.until(now)
        if until is not None:
            return True, until
        here = now.astimezone(ZoneInfo(self.time_zone))
        is_over = here.timetz().replace(tzinfo=None) >= self.start
        return False, datetime.combine(here.date() + timedelta(days=is_over), self.start, tzinfo=here.tzinfo)


@dataclass(frozen=True, kw_only=True, slots=True)
class WarmUp:
    """How many campaign messages a new number may send a day: few at first, ``growth`` times more each day."""

    started_on: date
    first_day: int = 20
    growth: float = 1.5
    days: int = 14

    def most_on(self, day: date) -> int | None:
        """Return the day's most; None once the number is warm.

        >>> warm_up = WarmUp(started_on=date(2026, 1, 1))
        >>> warm_up.most_on(date(2026, 1, 1)), warm_up.most_on(date(2026, 1, 3)), warm_up.most_on(date(2026, 2, 1))
        (20, 45, None)
        """
        age = max(0, (day - self.started_on).days)
        return None if age >= self.days else int(self.first_day * self.growth**age)


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceSettings:
    """One number's settings.

    ``rate_max`` messages may start per ``rate_per_ms`` milliseconds, after ``burst`` at once (None: no limit of the
    organization's own); ``jitter`` is the share of the interval between two messages that is drawn at random.
    """

    rate_max: int | None = None
    rate_per_ms: int = 1_000
    burst: int = 1
    jitter: float = 0.0
    quiet_hours: QuietHours | None = None
    warm_up: WarmUp | None = None
    paused: bool = False

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "InstanceSettings":
        """Read settings as they are stored and as the API takes them; raises ``Invalid`` that names the field.

        >>> InstanceSettings.of({"pace": {"rate": {"max": 1, "per_ms": 6_000}, "jitter": 0.3}}).rate_per_ms
        6000
        """
        pace = _mapping(stored.get("pace"), "pace", {"rate", "burst", "jitter"})
        rate = _mapping(pace.get("rate"), "pace.rate", {"max", "per_ms"})
        if rate and "max" not in rate:
            raise Invalid("pace.rate.max", "is missing", remedy="give the messages per window, or leave out the rate")
        paused = stored.get("paused", False)
        if not isinstance(paused, bool):
            raise Invalid("paused", f"is {_shown(paused)}", remedy="give true or false")
        return cls(
            rate_max=_integer(rate["max"], "pace.rate.max", 1, 100_000) if rate else None,
            rate_per_ms=_integer(rate.get("per_ms", 1_000), "pace.rate.per_ms", 1, _DAY_MS),
            burst=_integer(pace.get("burst", 1), "pace.burst", 1, 100_000),
            jitter=_number(pace.get("jitter", 0.0), "pace.jitter", 0.0, 1.0),
            quiet_hours=_quiet_hours(stored.get("quiet_hours")),
            warm_up=_warm_up(stored.get("warm_up")),
            paused=paused,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the settings as they are stored; ``of`` reads them back.

        >>> settings = InstanceSettings(rate_max=2, warm_up=WarmUp(started_on=date(2026, 1, 1)))
        >>> InstanceSettings.of(settings.as_json()) == settings
        True
        """
        quiet, warm = self.quiet_hours, self.warm_up
        return {
            "pace": {
                "rate": None if self.rate_max is None else {"max": self.rate_max, "per_ms": self.rate_per_ms},
                "burst": self.burst,
                "jitter": self.jitter,
            },
            "quiet_hours": quiet
            and {
                "start": quiet.start.isoformat("minutes"),
                "end": quiet.end.isoformat("minutes"),
                "time_zone": quiet.time_zone,
            },
            "warm_up": warm
            and {
                "started_on": warm.started_on.isoformat(),
                "first_day": warm.first_day,
                "growth": warm.growth,
                "days": warm.days,
            },
            "paused": self.paused,
        }


#: The keys of ``instances.settings`` that are read here; others belong to the gateways and are left alone.
KEYS: Final = frozenset({"pace", "quiet_hours", "warm_up", "paused"})


def merged(stored: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return stored settings with the changes: a key that is given replaces its old value, None takes it away.

    Raises ``Invalid`` for a value that cannot be read back.

    >>> merged({"paused": True, "proxy": "x"}, {"paused": None, "pace": {"jitter": 0.5}})
    {'proxy': 'x', 'pace': {'rate': None, 'burst': 1, 'jitter': 0.5}}
    """
    whole = {name: value for name, value in {**stored, **changes}.items() if value is not None}
    others = {name: value for name, value in whole.items() if name not in KEYS}
    ours = InstanceSettings.of(whole).as_json()
    return {**others, **{name: value for name, value in ours.items() if name in whole}}


def _quiet_hours(value: object) -> QuietHours | None:
    given = _mapping(value, "quiet_hours", {"start", "end", "time_zone"})
    if not given:
        return None
    zone = given.get("time_zone")
    try:
        ZoneInfo(str(zone))
    except (ValueError, OSError, KeyError) as error:  # not there, a folder, a path that leads out
        raise Invalid(
            "quiet_hours.time_zone", f"is {_shown(zone)}", remedy="give an IANA name, for instance America/Sao_Paulo"
        ) from error
    start, end = (_clock_time(given.get(name), f"quiet_hours.{name}") for name in ("start", "end"))
    if start == end:
        raise Invalid("quiet_hours.end", "is their start", remedy="give two different times, or pause the instance")
    return QuietHours(start=start, end=end, time_zone=str(zone))


def _warm_up(value: object) -> WarmUp | None:
    given = _mapping(value, "warm_up", {"started_on", "first_day", "growth", "days"})
    if not given:
        return None
    try:
        started_on = date.fromisoformat(str(given.get("started_on")))
    except ValueError as error:
        shown = _shown(given.get("started_on"))
        raise Invalid("warm_up.started_on", f"is {shown}", remedy="give a date, for instance 2026-01-31") from error
    return WarmUp(
        started_on=started_on,
        first_day=_integer(given.get("first_day", 20), "warm_up.first_day", 1, 100_000),
        growth=_number(given.get("growth", 1.5), "warm_up.growth", 1.0, 10.0),
        days=_integer(given.get("days", 14), "warm_up.days", 1, 90),
    )


def _clock_time(value: object, field: str) -> time:
    try:
        parsed = time.fromisoformat(str(value))
    except ValueError as error:
        raise Invalid(field, f"is {_shown(value)}", remedy="give a time, for instance 22:00") from error
    if parsed.tzinfo or parsed.second or parsed.microsecond:
        raise Invalid(field, f"is {_shown(value)}", remedy="give hours and minutes, for instance 22:00")
    return parsed


def _mapping(value: object, field: str, keys: set[str]) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Invalid(field, f"is {_shown(value)}", remedy=f"give an object of {', '.join(sorted(keys))}")
    unknown = sorted(str(key) for key in value if key not in keys)
    if unknown:
        raise Invalid(f"{field}.{unknown[0][:40]}", "is not known", remedy=f"give {', '.join(sorted(keys))}")
    return value


def _integer(value: object, field: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Invalid(field, f"is {_shown(value)}", remedy=f"give a whole number, {least} to {most}")
    return value


def _number(value: object, field: str, least: float, most: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
        raise Invalid(field, f"is {_shown(value)}", remedy=f"give a number, {least:g} to {most:g}")
    return float(value)


def _shown(value: object) -> str:
    return repr(value)[:60]
