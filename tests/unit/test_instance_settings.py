"""A number's settings: read strictly, stored as they are read."""

from datetime import UTC, date, datetime, time
from typing import Any

import pytest

from berrante.messaging.errors import Invalid
from berrante.messaging.instances import InstanceSettings, QuietHours, WarmUp
from berrante.messaging.instances.settings import merged


def test_settings_are_read_and_written_back() -> None:
    stored = {
        "pace": {"rate": {"max": 5, "per_ms": 60_000}, "burst": 3, "jitter": 0.25},
        "quiet_hours": {"start": "22:00", "end": "08:00", "time_zone": "America/Sao_Paulo"},
        "warm_up": {"started_on": "2026-01-31", "first_day": 30, "growth": 2, "days": 7},
        "paused": True,
    }
    settings = InstanceSettings.of(stored)
    assert settings == InstanceSettings(
        rate_max=5,
        rate_per_ms=60_000,
        burst=3,
        jitter=0.25,
        quiet_hours=QuietHours(start=time(22), end=time(8), time_zone="America/Sao_Paulo"),
        warm_up=WarmUp(started_on=date(2026, 1, 31), first_day=30, growth=2, days=7),
        paused=True,
    )
    assert settings.as_json() == stored
    assert InstanceSettings.of({}) == InstanceSettings()


@pytest.mark.parametrize(
    ("stored", "field"),
    [
        ({"pace": 5}, "pace"),
        ({"pace": {"max": 5}}, "pace.max"),
        ({"pace": {"rate": {"per_ms": 5}}}, "pace.rate.max"),
        ({"pace": {"rate": {"max": 0}}}, "pace.rate.max"),
        ({"pace": {"rate": {"max": True}}}, "pace.rate.max"),
        ({"pace": {"rate": {"max": 1, "per_ms": 0}}}, "pace.rate.per_ms"),
        ({"pace": {"burst": 0}}, "pace.burst"),
        ({"pace": {"jitter": 1.5}}, "pace.jitter"),
        ({"pace": {"jitter": float("nan")}}, "pace.jitter"),
        ({"quiet_hours": {"start": "22:00", "end": "08:00"}}, "quiet_hours.time_zone"),
        ({"quiet_hours": {"start": "22:00", "end": "08:00", "time_zone": "../etc/passwd"}}, "quiet_hours.time_zone"),
        ({"quiet_hours": {"start": "22h", "end": "08:00", "time_zone": "UTC"}}, "quiet_hours.start"),
        ({"quiet_hours": {"start": "22:00:30", "end": "08:00", "time_zone": "UTC"}}, "quiet_hours.start"),
        ({"quiet_hours": {"start": "08:00", "end": "08:00", "time_zone": "UTC"}}, "quiet_hours.end"),
        ({"warm_up": {"first_day": 5}}, "warm_up.started_on"),
        ({"warm_up": {"started_on": "2026-01-01", "growth": 0.5}}, "warm_up.growth"),
        ({"paused": "yes"}, "paused"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(stored: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        InstanceSettings.of(stored)
    assert caught.value.field == field


def test_a_change_replaces_one_key_and_leaves_the_gateways_own() -> None:
    stored = merged({"sidecar": "a"}, {"pace": {"rate": {"max": 1}}})
    changed = merged(stored, {"pace": {"jitter": 0.5}, "paused": True})
    assert changed["sidecar"] == "a"
    assert InstanceSettings.of(changed) == InstanceSettings(jitter=0.5, paused=True)
    assert merged(changed, {"pace": None, "paused": None}) == {"sidecar": "a"}


@pytest.mark.parametrize(
    ("at", "until"),
    [
        (datetime(2026, 1, 1, 21, 59, tzinfo=UTC), None),
        (datetime(2026, 1, 1, 22, 0, tzinfo=UTC), datetime(2026, 1, 2, 8, 0, tzinfo=UTC)),
        (datetime(2026, 1, 2, 7, 59, tzinfo=UTC), datetime(2026, 1, 2, 8, 0, tzinfo=UTC)),
        (datetime(2026, 1, 2, 8, 0, tzinfo=UTC), None),
    ],
)
def test_quiet_hours_may_span_midnight(at: datetime, until: datetime | None) -> None:
    assert QuietHours(start=time(22), end=time(8), time_zone="UTC").until(at) == until


def test_quiet_hours_within_a_day_end_on_that_day() -> None:
    siesta = QuietHours(start=time(13), end=time(15), time_zone="Europe/Madrid")
    assert siesta.until(datetime(2026, 7, 1, 11, 30, tzinfo=UTC)) == datetime(2026, 7, 1, 13, 0, tzinfo=UTC)
    assert siesta.until(datetime(2026, 7, 1, 13, 0, tzinfo=UTC)) is None
