"""A campaign on a virtual clock."""

import random
from collections import deque
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from berrante.messaging.campaigns.pace import NumberState, Policy, budget
from berrante.messaging.campaigns.pace.budget import gap
from berrante.messaging.campaigns.rehearsal import Group, Number, Part, Portfolio, Scene, chart, rehearse

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


FRIDAY = date(2026, 11, 27)


def _other(count: int, policy: Policy) -> Part:
    return Part(groups=[_group(count)], policy=policy, begins=START, begun=FRIDAY)


def _scheduled(count: int, other: int, policy: Policy, *, lane_gap: timedelta) -> datetime:
    """Run the scheduler itself on a virtual clock, for two campaigns and the lane of their number: one end of ours."""
    luck, now, free = random.Random(7), START, START
    lane: deque[int] = deque()
    left, sent, open_ = [count, other], [0, 0], [0, 0]
    slots, wakes = [START, START], [START, START]
    while sent[0] < count:
        if lane and free <= now:
            whose = lane.popleft()
            sent[whose] += 1
            open_[whose] -= 1
            free = now + lane_gap
        for each in (0, 1):
            if left[each] and wakes[each] <= now:
                state = NumberState(open=open_[each], next_at=slots[each], day=FRIDAY, begun=FRIDAY)
                granted = budget(state, policy, now=now, chance=luck.random)
                number = min(granted.count, left[each])
                if number:
                    slots[each] = granted.next_at
                lane.extend([each] * number)
                open_[each] += number
                left[each] -= number
                wakes[each] = granted.wake_at or now + gap(policy, 0.5)
        coming = [wakes[each] for each in (0, 1) if left[each]] + ([free] if lane else [])
        now = max(now, min(coming, default=now))
    return now


def test_a_second_campaign_on_the_number_doubles_the_time_as_the_scheduler_itself_has_it() -> None:
    policy, number = Policy(per_minute=100), {"sales": Number(gap_s=0.6)}
    alone = rehearse([_group(1_200)], policy, start=START, scene=Scene(numbers=number))
    both = rehearse([_group(1_200)], policy, start=START, scene=Scene(numbers=number, others=[_other(1_200, policy)]))
    assert alone.end_p50 is not None
    assert both.end_p50 is not None
    assert 1.9 < (both.end_p50 - START) / (alone.end_p50 - START) < 2.1
    assert (both.others, sum(both.per_hour.values())) == (1_200, 1_200)
    for played, other in ((alone, 0), (both, 1_200)):
        real = _scheduled(1_200, other, policy, lane_gap=timedelta(seconds=0.6))
        assert played.end_p50 is not None
        assert 0.97 < (played.end_p50 - START) / (real - START) < 1.03


def test_campaigns_of_a_number_share_its_days_caps() -> None:
    policy = Policy(per_minute=1_000, daily_first_contacts=50, zone="UTC")
    other = Part(groups=[_group(200, stranger=True)], policy=policy, begins=START, begun=FRIDAY)
    number = Number(days={FRIDAY: (30, 30)})
    played = rehearse(
        [_group(60, stranger=True)], policy, start=START, scene=Scene(numbers={"sales": number}, others=[other])
    )
    by_day: dict[date, int] = {}
    for hour, sends in played.per_hour.items():
        by_day[hour.date()] = by_day.get(hour.date(), 0) + sends
    assert 5 <= by_day[FRIDAY] <= 15  # about half of the 20 that are left
    assert len(by_day) == 3


def test_a_portfolio_writes_to_so_many_people_in_24_hours_and_no_more() -> None:
    used = Portfolio(limit=250, opened=[(START - timedelta(hours=23), 200)])
    scene = Scene(numbers={"sales": Number(portfolio="p")}, portfolios={"p": used})
    played = rehearse([_group(600)], Policy(per_minute=6_000), start=START, scene=scene)
    assert list(played.per_hour.values()) == [50, 200, 50, 200, 50, 50]
    assert played.end_p50 is not None
    assert timedelta(hours=49) <= played.end_p50 - START < timedelta(hours=50)


def test_replies_go_first_and_are_told_by_the_hour() -> None:
    number = {"sales": Number(gap_s=1.0)}
    quiet = rehearse([_group(3_600)], Policy(per_minute=60_000), start=START, scene=Scene(numbers=number))
    lively = rehearse(
        [_group(3_600)], Policy(per_minute=60_000), start=START, scene=Scene(numbers=number, reply_share=0.5)
    )
    assert quiet.end_p50 is not None
    assert lively.end_p50 is not None
    assert 1.1 < (lively.end_p50 - START) / (quiet.end_p50 - START) < 1.5
    assert 1_500 < sum(hour.replies_p50 for hour in lively.hours) < 2_100
    assert all(hour.p50 <= hour.p90 for hour in lively.hours)
    assert sum(hour.replies_p50 for hour in quiet.hours) == 0
    lines = chart(lively.hours)
    assert len(lines) == sum(1 for hour in lively.hours if hour.p90)
    assert lines[0].startswith("Fri 27 Nov 21:00 UTC")
    assert "█" in lines[0]


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
