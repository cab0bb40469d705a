"""The pure policies of sending: rates that recover, turns per person, room per day, what a refusal stops."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berrante.gateways.protocol import Scope, TemplateContent, TextContent
from berrante.gateways.refusals import REFUSALS, refusal, refused
from berrante.messaging.outbound.policy import Charge, GiveUp, Postpone, react
from berrante.messaging.outbound.policy.aimd import LESSON_MS, Aimd, Rate, recovered, slowed
from berrante.messaging.outbound.policy.conversations import WINDOW_MS, limit_of, room
from berrante.messaging.outbound.policy.holding import LOOK_MS, Hold, Stopped, hold_after, holds_on, standing
from berrante.messaging.outbound.policy.pair_rate import BURST, INTERVAL_MS, Allowed, TooSoon, ask

CONTACT = UUID(int=9)
TEXT = TextContent(body="Hello")
TEMPLATE = TemplateContent(name="news", language="pt_BR")


@given(gaps=st.lists(st.integers(0, 20_000), min_size=1, max_size=200))
def test_in_no_span_of_time_does_a_person_get_more_than_burst_and_even_rate(gaps):
    now_ms, even_ms, sent = 1_000_000, None, []
    for gap in gaps:
        now_ms += gap
        match ask(even_ms, now_ms=now_ms):
            case Allowed(new):
                even_ms = new
                sent.append(now_ms)
            case TooSoon(delay_ms):
                assert delay_ms > 0
                assert isinstance(ask(even_ms, now_ms=now_ms + delay_ms), Allowed), "the delay is enough"
                assert isinstance(ask(even_ms, now_ms=now_ms + delay_ms - 1), TooSoon), "and no longer than needed"
    for first, start in enumerate(sent):
        for last in range(first, len(sent)):
            assert last - first + 1 <= BURST + (sent[last] - start) / INTERVAL_MS


@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 60_000)), max_size=60))
def test_a_rate_stays_between_floor_and_ceiling_and_recovers_in_the_end(steps):
    aimd, rate, now_ms = Aimd(ceiling=80, floor=1), None, 0
    for is_refused, gap in steps:
        now_ms += gap
        if is_refused:
            rate = slowed(aimd, rate, now_ms=now_ms)
        elif rate is not None:
            rate = recovered(aimd, rate, now_ms=now_ms)
        assert rate is None or 1 <= rate.per_s < 80
    if rate is not None:
        assert recovered(aimd, rate, now_ms=now_ms + 10_000 * 21) is None


def test_looking_often_makes_a_rate_recover_no_slower():
    aimd = Aimd()
    often: Rate | None = Rate(per_s=10, changed_ms=0)
    for now_ms in range(0, 60_001, 700):
        often = recovered(aimd, often, now_ms=now_ms) if often else None
    assert often == recovered(aimd, Rate(per_s=10, changed_ms=0), now_ms=60_001 // 700 * 700)


def test_many_refusals_at_once_are_one_lesson():
    first = slowed(Aimd(), None, now_ms=0)
    assert slowed(Aimd(), first, now_ms=LESSON_MS - 1) is first
    assert slowed(Aimd(), first, now_ms=LESSON_MS).per_s == first.per_s / 2


@given(limit=st.integers(1, 50), gaps=st.lists(st.integers(0, WINDOW_MS // 4), max_size=120))
def test_no_24_hours_hold_more_new_people_than_the_limit(limit, gaps):
    opened: list[int] = []
    now_ms = 0
    for gap in gaps:
        now_ms += gap
        lately = [at for at in opened if at > now_ms - WINDOW_MS]
        answer = room(limit, used=len(lately), oldest_ms=lately[0] if lately else None, now_ms=now_ms)
        if answer.fits:
            opened.append(now_ms)
            assert len(lately) + 1 <= limit
        else:
            assert now_ms + answer.delay_ms >= lately[0] + WINDOW_MS


@pytest.mark.parametrize(
    ("tier", "limit"),
    [
        ("TIER_250", 250),
        ("TIER_1K", 1_000),
        ("TIER_10K", 10_000),
        (2_000, 2_000),
        ("TIER_UNLIMITED", None),
        (None, None),
    ],
)
def test_a_tier_is_a_number_of_people(tier, limit):
    assert limit_of(tier) == limit


@pytest.mark.parametrize("code", sorted(REFUSALS, key=int))
def test_what_stops_more_than_a_message_says_what_and_until_when(code):
    error = refusal(code)
    hold = hold_after(error, content=TEMPLATE, contact_id=CONTACT, now_ms=0)
    if error.remedy:
        assert hold is not None
        assert hold.until_ms is None
        assert error.remedy in hold.reason
    if error.scope is Scope.MESSAGE:
        assert hold is None


@pytest.mark.parametrize(
    ("code", "what", "until_ms", "campaigns_only"),
    [
        ("131048", "campaigns", 24 * 3_600_000, True),
        ("131049", f"contact:{CONTACT}", 24 * 3_600_000, True),
        ("131050", f"contact:{CONTACT}", None, True),
        ("132001", "template:news/pt_BR", None, True),
        ("132015", "template:news/pt_BR", 3 * 3_600_000, False),
        ("190", "account", None, False),
        ("80007", "account", 3_600_000, False),
        ("133010", "number", None, False),
    ],
)
def test_each_refusal_holds_what_it_should(code, what, until_ms, campaigns_only):
    hold = hold_after(refusal(code), content=TEMPLATE, contact_id=CONTACT, now_ms=0)
    assert hold is not None
    assert (hold.what, hold.until_ms, hold.campaigns_only) == (what, until_ms, campaigns_only)
    assert hold.what in holds_on(TEMPLATE, CONTACT)


@pytest.mark.parametrize("code", ["130429", "131056", "131057", "131026", "131000", "132000"])
def test_what_passes_soon_or_concerns_one_message_holds_nothing_for_long(code):
    assert hold_after(refusal(code), content=TEMPLATE, contact_id=CONTACT, now_ms=0) is None


def test_campaigns_rest_where_replies_go_on():
    hold = Hold(what="campaigns", code="131048", reason="spam", campaigns_only=True, until_ms=50_000)
    assert standing([hold], is_campaign=False, now_ms=0) == 0
    assert standing([hold], is_campaign=True, now_ms=0) == 50_000
    assert standing([hold], is_campaign=True, now_ms=50_001) <= 0
    forever = Hold(what="number", code="133010", reason="register", campaigns_only=False, until_ms=None)
    assert standing([hold, forever], is_campaign=False, now_ms=0) == 60_000
    far = Hold(what="number", code="133016", reason="wait", campaigns_only=False, until_ms=10**12)
    assert standing([far], is_campaign=False, now_ms=0) == LOOK_MS
    stop = Hold(what=f"contact:{CONTACT}", code="131050", reason="stopped", campaigns_only=True, until_ms=None)
    assert standing([stop, hold], is_campaign=True, now_ms=0) == Stopped("stopped")
    assert standing([stop], is_campaign=False, now_ms=0) == 0


def test_a_pair_waits_four_times_longer_each_time():
    error = refusal("131056")
    waits = [react(error, strikes=strikes) for strikes in (1, 2, 3, 4)]
    assert waits == [Postpone(ms, None) for ms in (1_000, 4_000, 16_000, 64_000)]


def test_a_person_who_gets_much_marketing_is_tried_twice_more_ever_later():
    error = refusal("131049")
    day_ms = 24 * 3_600_000
    assert react(error, tries=0) == Postpone(day_ms, None, counted=True)
    assert react(error, tries=1) == Postpone(2 * day_ms, None, counted=True)
    assert react(error, tries=2) == GiveUp()


def test_an_upload_that_fails_is_tried_twice_more():
    assert [react(refusal("131053"), tries=tries) for tries in (0, 1, 2)] == [Charge(), Charge(), GiveUp()]


def test_sends_that_were_all_refused_at_once_come_back_one_by_one():
    error = refusal("130429")
    assert react(error, chance=0.0) == Postpone(1_000, Scope.NUMBER)
    assert react(error, chance=1.0) == Postpone(5_000, Scope.NUMBER)


def test_an_unknown_code_uses_attempts_and_holds_nothing():
    error = refused("987654", "something new")
    assert react(error) == Charge()
    assert hold_after(error, content=TEXT, contact_id=CONTACT, now_ms=0) is None
