"""A campaign on a virtual clock."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from berrante.messaging.campaigns.pace import Policy
from berrante.messaging.campaigns.rehearsal import Group, rehearse

START = datetime(2026, 11, 27, 21, tzinfo=UTC)  # a Friday, 18:00 in São Paulo
SAO_PAULO = "America/Sao_Paulo"


def _group(count: int, *, zone: str = SAO_PAULO, stranger: bool = False, number: str = "sales") -> Group:
    return Group(instance_id=number, zone=zone, stranger=stranger, count=count)


def test_a_steady_campaign_takes_its_number_of_gaps() -> None:
    played = rehearse([_group(6_000)], Policy(per_minute=100), start=START)
    assert played.end_p50 is not None
    assert abs(played.end_p50 - START - timedelta(hours=1)) < timedelta(minutes=2)
    assert sum(played.per_hour.values()) == 6_000
    assert played == rehearse([_group(6_000)], Policy(per_minute=100), start=START)


def test_two_numbers_take_half_the_time_each() -> None:
    groups = [_group(3_000), _group(3_000, number="other")]
    played = rehearse(groups, Policy(per_minute=100), start=START)
    assert played.end_p50 is not None
    assert abs(played.end_p50 - START - timedelta(minutes=30)) < timedelta(minutes=2)
    assert played.by_number == {"other": 3_000, "sales": 3_000}


def test_nothing_is_sent_in_quiet_hours_or_on_other_days() -> None:
    policy = Policy.read({"per_minute": 100, "quiet": {"from": "20:00", "to": "09:00"}, "days": ["fri", "mon"]})
    played = rehearse([_group(30_000), _group(500, zone="Asia/Tokyo")], policy, start=START)
    calendar = policy.calendar
    assert sum(played.per_hour.values()) == 30_500
    for hour in played.per_hour:
        zones = [ZoneInfo(SAO_PAULO), ZoneInfo("Asia/Tokyo")]
        assert any(calendar.next_allowed(hour, zone) == hour for zone in zones), hour
    local = [hour.astimezone(ZoneInfo(SAO_PAULO)) for hour in played.per_hour]
    assert {hour.strftime("%a") for hour in local} <= {"Fri", "Mon", "Sun", "Thu"}  # Tokyo's days begin in ours


def test_warm_up_and_first_contacts_are_what_a_day_holds() -> None:
    policy = Policy(per_minute=1_000, warm_up=[10, 20], daily_first_contacts=25, zone="UTC")
    played = rehearse([_group(100, stranger=True)], policy, start=START)
    by_day: dict[object, int] = {}
    for hour, sent in played.per_hour.items():
        by_day[hour.date()] = by_day.get(hour.date(), 0) + sent
    assert list(by_day.values()) == [10, 20, 25, 25, 20]


def test_what_never_ends_says_so() -> None:
    played = rehearse([_group(1_000)], Policy(per_minute=1_000, daily=1), start=START)
    assert (played.end_p50, played.end_p90) == (None, None)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 300), st.sampled_from([SAO_PAULO, "Europe/Berlin", "Asia/Tokyo"]), st.booleans()),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from([10, 100, 5_000]),
    st.none() | st.integers(10, 50),  # so that it ends within a year
    st.none() | st.integers(10, 50),
)
def test_everybody_is_written_to_once(
    groups: list[tuple[int, str, bool]], per_minute: int, daily: int | None, strangers: int | None
) -> None:
    policy = Policy.read(
        {
            "per_minute": per_minute,
            "daily": daily,
            "daily_first_contacts": strangers,
            "quiet": {"from": "21:00", "to": "08:00"},
        }
    )
    played = rehearse([_group(n, zone=zone, stranger=cold) for n, zone, cold in groups], policy, start=START)
    assert sum(played.per_hour.values()) == played.recipients == sum(each[0] for each in groups)
    if daily is not None:
        by_day: dict[object, int] = {}
        for hour, sent in played.per_hour.items():
            by_day[hour.date()] = by_day.get(hour.date(), 0) + sent
        assert all(sent <= daily for sent in by_day.values())
