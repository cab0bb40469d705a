"""When a cron pattern next comes round, by the clock on the wall of a time zone."""

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterBadCronError, CroniterBadDateError, croniter


def next_run_ms(cron: str, *, tz: str | None, after_ms: int) -> int:
    """Return when a cron pattern next comes round after ``after_ms``, in milliseconds since the epoch.

    Five fields, or six with seconds first, as Node's cron-parser reads them. When clocks go forward, a run in the hour
    that is left out comes an hour later; when they go back, a run at a fixed hour comes once, and one of every hour
    twice. Raises ``ValueError`` that names the pattern or the zone.

    >>> next_run_ms("0 9 * * *", tz="America/Sao_Paulo", after_ms=1_700_000_000_000)
    1700049600000
    """
    try:
        zone: tzinfo = ZoneInfo(tz) if tz else UTC
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"tz is {tz!r}: give an IANA name such as 'America/Sao_Paulo'") from error
    after = datetime.fromtimestamp(after_ms / 1_000, UTC)
    try:
        return int(_next(cron, zone, after).timestamp() * 1_000)
    except (CroniterBadCronError, CroniterBadDateError) as error:
        raise ValueError(f"cron is {cron!r}: {error}") from error


def _next(cron: str, zone: tzinfo, after: datetime) -> datetime:
    # croniter 2 is an hour wrong across a change of the offset, so it only ever sees a fixed one.
    before = _offset(zone, after)
    following = _at_offset(cron, before, after)
    if _offset(zone, following) == before:
        return following
    change = _change(zone, after, following)
    if following < change:
        return following
    moved = _offset(zone, change) - before
    if moved > timedelta(0):
        late = [following] if following < change + moved else []
        return min([*late, _at_offset(cron, before + moved, change - timedelta(seconds=1))])
    repeated = timedelta(0) if croniter(cron, second_at_beginning=True).expanded[1] == ["*"] else -moved
    return _at_offset(cron, before + moved, change + repeated - timedelta(seconds=1))


def _at_offset(cron: str, offset: timedelta, after: datetime) -> datetime:
    steps = croniter(cron, after.astimezone(timezone(offset)), second_at_beginning=True)
    following: datetime = steps.get_next(datetime)
    return following.astimezone(UTC)


def _offset(zone: tzinfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def _change(zone: tzinfo, low: datetime, high: datetime) -> datetime:
    """Find, to the second, when the offset that holds at ``low`` ends; it does before ``high``."""
    before = _offset(zone, low)
    low = low.replace(microsecond=0)
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
    return high
