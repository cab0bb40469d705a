from datetime import UTC, datetime

import pytest

from berrante.engine.policy.cron import next_run_ms


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


@pytest.mark.parametrize(
    ("cron", "tz", "after", "expected"),
    [
        ("*/5 * * * *", None, "2026-03-01T10:02:30", "2026-03-01T10:05:00"),
        ("*/15 * * * * *", None, "2026-03-01T10:02:31", "2026-03-01T10:02:45"),
        ("0 9 * * 1-5", "America/Sao_Paulo", "2026-03-06T12:00:01", "2026-03-09T12:00:00"),
        # New York leaves winter time on 8 March 2026: nine o'clock comes an hour earlier in UTC.
        ("0 9 * * *", "America/New_York", "2026-03-07T15:00:00", "2026-03-08T13:00:00"),
        # Half past two does not exist that night: it comes at half past three of summer time.
        ("30 2 * * *", "America/New_York", "2026-03-08T05:00:00", "2026-03-08T07:30:00"),
        ("*/30 * * * *", "America/New_York", "2026-03-08T06:45:00", "2026-03-08T07:00:00"),
        # On 1 November 2026 the hour from one to two is repeated: a fixed hour runs once, every quarter both times.
        ("30 1 * * *", "America/New_York", "2026-11-01T04:00:00", "2026-11-01T05:30:00"),
        ("30 1 * * *", "America/New_York", "2026-11-01T05:30:00", "2026-11-02T06:30:00"),
        ("*/15 * * * *", "America/New_York", "2026-11-01T05:45:00", "2026-11-01T06:00:00"),
        ("0 0 1 1 *", "America/New_York", "2026-06-01T00:00:00", "2027-01-01T05:00:00"),
    ],
)
def test_cron_patterns_follow_the_clock_on_the_wall(cron: str, tz: str | None, after: str, expected: str) -> None:
    assert next_run_ms(cron, tz=tz, after_ms=_ms(after)) == _ms(expected)


def test_a_wrong_pattern_or_zone_is_named() -> None:
    with pytest.raises(ValueError, match="cron is 'every day'"):
        next_run_ms("every day", tz=None, after_ms=0)
    with pytest.raises(ValueError, match="tz is 'Mars/Olympus'"):
        next_run_ms("* * * * *", tz="Mars/Olympus", after_ms=0)
