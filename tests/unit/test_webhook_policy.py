"""When deliveries are tried again, and when an endpoint rests or is given up."""

from datetime import UTC, datetime, timedelta

import pytest

from berrante.messaging.endpoints import policy
from berrante.messaging.endpoints.events import EventType, subscribed, topics
from berrante.messaging.errors import Invalid

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_there_are_eight_retries_within_about_a_day(chance: float) -> None:
    waits = []
    while (wait := policy.wait_ms(len(waits) + 1, chance=chance)) is not None:
        waits.append(wait)
    assert len(waits) == 8
    assert 18 <= sum(waits) / 3_600_000 <= 29
    assert waits == sorted(waits)


def test_waits_are_spread() -> None:
    assert policy.wait_ms(1, chance=0.0) == 4_000
    assert policy.wait_ms(1, chance=1.0) == 6_000


@pytest.mark.parametrize(
    ("failures", "for_", "given_up"),
    [
        (49, timedelta(hours=30), False),
        (50, timedelta(hours=23), False),
        (50, timedelta(hours=24), True),
        (5_000, timedelta(hours=8), False),
        (2, timedelta(days=3), True),
        (2, timedelta(days=2, hours=23), False),
    ],
)
def test_an_endpoint_is_given_up_after_days_or_after_many_failures(
    failures: int, for_: timedelta, *, given_up: bool
) -> None:
    assert bool(policy.given_up(failures, failing_since=NOW - for_, now=NOW)) is given_up


def test_an_endpoint_rests_from_its_third_failure_on_and_is_then_tried_out() -> None:
    open_until = NOW + timedelta(seconds=30)
    assert policy.next_step(failures=2, open_until=None, now=NOW) == policy.Try()
    assert policy.next_step(failures=3, open_until=open_until, now=NOW) == policy.Rest(open_until)
    assert policy.next_step(failures=3, open_until=open_until, now=open_until) == policy.Try(probe=True)


def test_an_endpoint_may_ask_for_an_event_its_kind_or_all() -> None:
    assert topics(EventType.MESSAGE_STATUS) == ["message.status", "message.*", "*"]
    assert subscribed(["*"]) == ["*"]
    for wrong in ([], ["message"], ["message.read"], ["x.*"], ["m*"]):
        with pytest.raises(Invalid, match="events"):
            subscribed(wrong)
