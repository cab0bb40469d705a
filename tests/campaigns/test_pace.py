"""When a campaign may write to whom."""

import random
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from berrante.messaging.campaigns.expected_end import Live, expected_end
from berrante.messaging.campaigns.pace import Calendar, Hours, NumberState, Policy, budget, zone_of
from berrante.messaging.campaigns.pace.budget import gap, on
from berrante.messaging.campaigns.rehearsal import Group, Number, Part
from berrante.messaging.errors import Invalid

UTC_ZONE = ZoneInfo("UTC")
#: With clocks that are changed at midnight, by half an hour, twice in Ramadan, and once by skipping a whole day.
ZONES = ["America/Sao_Paulo", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca", "America/Havana", "UTC"]
WALLS = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 45]))
QUIET = st.tuples(WALLS, WALLS).filter(lambda pair: pair[0] != pair[1])
DAYS = st.frozensets(st.integers(0, 6), min_size=1)
MOMENTS = st.datetimes(datetime(2018, 1, 1), datetime(2027, 12, 31)).map(
    lambda at: at.replace(tzinfo=UTC, second=0, microsecond=0)
)


@pytest.mark.parametrize(
    ("phone", "zone"),
    [
        ("+5511999990001", "America/Sao_Paulo"),
        ("+5581999990001", "America/Sao_Paulo"),  # Recife, whose code Noronha shares
        ("+5592999990001", "America/Manaus"),
        ("+5568999990001", "America/Rio_Branco"),
        ("+12125550100", "America/New_York"),
        ("+13105550100", "America/Los_Angeles"),
        ("+4930123456", "Europe/Berlin"),
        ("+351912345678", "Europe/Lisbon"),
        ("+99999999999", "UTC"),
    ],
)
def test_a_number_tells_its_zone(phone: str, zone: str) -> None:
    found = zone_of(phone, otherwise=UTC_ZONE)
    at = datetime(2026, 7, 1, tzinfo=UTC)
    assert at.astimezone(found).utcoffset() == at.astimezone(ZoneInfo(zone)).utcoffset()


def test_what_the_contact_says_of_its_zone_comes_first_if_it_is_one() -> None:
    assert zone_of("+5511999990001", given="Asia/Tokyo", otherwise=UTC_ZONE).key == "Asia/Tokyo"
    for nonsense in ("Mars/Base", "../etc/passwd", "", 7, None, "\0"):
        assert zone_of("+5511999990001", given=nonsense, otherwise=UTC_ZONE).key == "America/Sao_Paulo"


@settings(max_examples=150, deadline=None)
@given(QUIET, DAYS, MOMENTS, st.sampled_from(ZONES))
def test_the_next_moment_is_allowed_and_none_before_it_is(
    quiet: tuple[time, time], days: frozenset[int], at: datetime, zone_name: str
) -> None:
    hours, zone = Hours(quiet_from=quiet[0], quiet_to=quiet[1], days=days), ZoneInfo(zone_name)
    found = Calendar(hours).next_allowed(at, zone)
    assert found >= at
    assert hours.allow(found, zone)
    step = timedelta(minutes=15)
    between = at
    while between < found:
        assert not hours.allow(between, zone), between
        between += step
    if found > at:
        assert not hours.allow(found - timedelta(seconds=1), zone)


@settings(max_examples=60, deadline=None)
@given(QUIET, DAYS, st.lists(MOMENTS, min_size=2, max_size=6), st.sampled_from(ZONES))
def test_what_a_calendar_remembers_does_not_change_its_answers(
    quiet: tuple[time, time], days: frozenset[int], moments: list[datetime], zone_name: str
) -> None:
    hours, zone = Hours(quiet_from=quiet[0], quiet_to=quiet[1], days=days), ZoneInfo(zone_name)
    calendar = Calendar(hours)
    for at in [*moments, *(at + timedelta(minutes=1) for at in moments)]:
        assert calendar.next_allowed(at, zone) == Calendar(hours).next_allowed(at, zone)


@pytest.mark.parametrize(
    ("zone", "now", "then"),
    [
        # Berlin springs from 2:00 to 3:00: quiet until 2:30 ends at 3:00 summer time.
        ("Europe/Berlin", "2026-03-29T00:10+00:00", "2026-03-29T01:00+00:00"),
        # In October 2:30 comes twice: quiet ends at the first and does not begin again before 22:00.
        ("Europe/Berlin", "2026-10-25T00:10+00:00", "2026-10-25T00:30+00:00"),
        ("America/Sao_Paulo", "2026-11-24T04:00+00:00", "2026-11-24T05:30+00:00"),
    ],
)
def test_quiet_hours_follow_the_clock_on_the_wall(zone: str, now: str, then: str) -> None:
    calendar = Calendar(Hours(quiet_from=time(22), quiet_to=time(2, 30)))
    assert calendar.next_allowed(datetime.fromisoformat(now), ZoneInfo(zone)) == datetime.fromisoformat(then)


def _state(**changes: object) -> NumberState:
    day = date(2026, 11, 24)
    given_ = {"open": 0, "next_at": datetime(2026, 11, 24, 12, tzinfo=UTC), "day": day, "begun": day} | changes
    return NumberState(**given_)  # type: ignore[arg-type]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 30), st.integers(0, 12)), min_size=1, max_size=60),
    st.sampled_from([6, 60, 100, 600, 6_000]),
    st.floats(0, 1),
    st.integers(0, 10**9),
)
def test_no_more_is_granted_than_slots_have_come(
    ticks: list[tuple[float, int]], per_minute: int, jitter: float, seed: int
) -> None:
    """However late and often it is asked: over any stretch at most one message per shortest gap, and one second's."""
    policy = Policy(per_minute=per_minute, jitter=jitter, window=10)
    luck = random.Random(seed)
    now = start = datetime(2026, 11, 24, 12, tzinfo=UTC)
    state, granted = _state(next_at=start), 0
    for wait_s, open_ in ticks:
        now += timedelta(seconds=wait_s)
        state = NumberState(open=open_, next_at=state.next_at, day=state.day, begun=state.begun)
        found = budget(state, policy, now=now, chance=luck.random)
        assert 0 <= found.count <= max(0, policy.window - open_)
        assert found.wake_at is None or found.wake_at > now
        granted += found.count
        state = NumberState(open=open_, next_at=found.next_at, day=state.day, begun=state.begun)
        shortest = gap(policy, 0.0)
        if shortest:
            assert granted <= (now - start + timedelta(seconds=1)) / shortest + 1


def test_a_steady_number_reaches_its_rate() -> None:
    policy = Policy(per_minute=100, jitter=0.3)
    luck, now = random.Random(7), datetime(2026, 11, 24, 12, tzinfo=UTC)
    state, sent, end = _state(next_at=now), 0, now + timedelta(hours=1)
    while now < end:
        found = budget(state, policy, now=now, chance=luck.random)
        sent += found.count
        state = _state(next_at=found.next_at)
        assert found.wake_at is not None
        now = found.wake_at + timedelta(milliseconds=luck.randrange(40))  # a worker is never quite on time
    assert 5_900 <= sent <= 6_100


def test_warm_up_and_daily_limits_end_at_midnight_of_the_campaign() -> None:
    policy = Policy(warm_up=[3, 5], daily=4, zone="America/Sao_Paulo", per_minute=6_000)
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    late = {"next_at": now - timedelta(days=1)}
    first = budget(_state(written=2, **late), policy, now=now, chance=lambda: 0.5)
    assert (first.count, first.because, first.wake_at) == (1, "warm_up", datetime(2026, 11, 25, 3, tzinfo=UTC))
    second = on(_state(written=3, **late), date(2026, 11, 25))
    assert budget(second, policy, now=now, chance=lambda: 0.5).because == "daily"
    assert budget(second, policy, now=now, chance=lambda: 0.5).count == 4
    strangers = Policy(daily_first_contacts=5)
    assert budget(_state(first_contacts=3), strangers, now=now, chance=lambda: 0.5).first_contacts == 2


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"per_minute": 0}, "pace.per_minute"),
        ({"zone": "Mars"}, "pace.zone no such zone: 'Mars'"),
        ({"days": ["monday"]}, "pace.days no such day: 'monday'"),
        ({"quiet": {"from": "21:00", "to": "21:00"}}, "pace.quiet from and to are the same time"),
        ({"quiet": {"from": "21:00+03:00", "to": "08:00"}}, "pace.quiet.from give the time alone"),
        ({"speed": 1}, "pace.speed"),
    ],
)
def test_a_malformed_policy_is_refused_and_named(given_: object, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        Policy.read(given_)


def test_a_policy_is_stored_and_read_back() -> None:
    policy = Policy.read({"quiet": {"from": "21:00", "to": "08:00"}, "days": ["fri", "mon"], "warm_up": [10]})
    assert Policy.read(policy.stored()) == policy


def test_an_end_is_expected_by_rate_hours_and_caps() -> None:
    friday = datetime(2026, 11, 27, 18, tzinfo=UTC)
    wanted = {"per_minute": 10, "quiet": {"from": "20:00", "to": "08:00"}, "days": ["fri", "mon"], "daily": 1_500}
    policy = Policy.read(wanted)

    def end(*, rate: float | None = None, done: int = 0, in_lane: int = 0, **open_: int) -> datetime | None:
        groups = [Group(instance_id=name, zone="UTC", stranger=False, count=count) for name, count in open_.items()]
        part = Part(groups=groups, policy=policy, begins=friday, begun=friday.date())
        numbers = {"sales": Number(gap_s=2, days={friday.date(): (done, 0)})}
        live = {"sales": Live(in_lane=in_lane, per_minute=rate)}
        return expected_end(part, now=friday, numbers=numbers, live=live)

    gap = timedelta(seconds=6)
    assert end(sales=600) == friday + timedelta(hours=1) - gap
    assert end(sales=600, rate=9.5) == friday + timedelta(hours=1) - gap  # jitter
    assert end(sales=600, rate=5) == friday + timedelta(hours=2) - 2 * gap
    monday = datetime(2026, 11, 30, 8, tzinfo=UTC)
    assert end(sales=1_800) == monday + timedelta(hours=1) - gap
    assert end(sales=600, other=1_800) == monday + timedelta(hours=1) - gap
    assert end(sales=1_200, done=1_450) == monday + timedelta(minutes=115) - gap
    assert end(sales=10_000_000) is None
    assert end(in_lane=10) == friday + timedelta(seconds=20)
