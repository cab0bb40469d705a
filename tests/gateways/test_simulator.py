"""The simulator as a gateway: what contacts see, what sends answer, which receipts follow."""

import itertools
from dataclasses import replace

import pytest

from berrante.gateways.protocol import Action, Gateway, InDoubt, Receipt, Scope, SendError, shown
from berrante.gateways.simulator import REFUSALS, Habits, Latency, Ledger, Seen, Simulator, refusal
from tests.gateways.conftest import ORGANIZATION
from tests.gateways.every_content import EVERY_CONTENT
from tests.gateways.moving_clock import NOON_MS

CHAT = ("shop", "+5511999990001")


async def test_a_sent_message_is_seen_by_its_contact_alone(simulator, message):
    gateway: Gateway = simulator
    sent = message(1, body="Good morning")
    accepted = await gateway.send(sent)

    assert simulator.ledger[CHAT] == [
        Seen(wire_id=sent.wire_id, body="Good morning", at_ms=NOON_MS, content=sent.content)
    ]
    assert simulator.ledger["shop", "+5511999990002"] == []
    assert simulator.ledger["other", CHAT[1]] == []
    assert list(simulator.ledger) == [CHAT]
    assert accepted.accepted_at_ms == NOON_MS


async def test_the_wire_id_is_derived_from_the_row_id_and_is_what_receipts_carry(simulator, sink, clock, message):
    sent = message(1)
    assert simulator.wire_id(sent.message_id) == simulator.wire_id(sent.message_id) == sent.wire_id
    assert simulator.wire_id(message(2).message_id) != sent.wire_id

    accepted = await simulator.send(sent)
    clock.advance(300)
    await simulator.deliver_due()
    assert {event.message_id for event in sink.events} == {accepted.provider_id} == {sent.wire_id}


async def test_sending_a_wire_id_again_shows_nothing_and_answers_as_the_first_time(simulator, sink, clock, message):
    first = await simulator.send(message(1))
    clock.advance(5_000)
    again = await simulator.send(message(1))

    assert again == first
    assert len(simulator.ledger[CHAT]) == 1
    await simulator.deliver_due()
    assert [status for _, status in sink.receipts] == ["sent", "delivered", "read"]


async def test_the_same_wire_id_in_another_chat_or_instance_is_another_message(simulator, message):
    await simulator.send(message(1))
    await simulator.send(message(1, to="+5511999990002"))
    await simulator.send(message(1, instance="branch"))
    assert {chat: len(seen) for chat, seen in simulator.ledger.items()} == {
        CHAT: 1,
        ("shop", "+5511999990002"): 1,
        ("branch", "+5511999990001"): 1,
    }


async def test_receipts_come_in_order_each_at_its_time(simulator, sink, clock, message):
    await simulator.send(message(1))
    came = []
    for _ in range(4):
        await simulator.deliver_due()
        came.append([status for _, status in sink.receipts])
        clock.advance(100)
    assert came == [[], ["sent"], ["sent", "delivered"], ["sent", "delivered", "read"]]
    assert sink.events[1] == Receipt(
        organization_id=ORGANIZATION,
        instance_id="shop",
        message_id=message(1).wire_id,
        status="delivered",
        at_ms=NOON_MS + 200,
    )
    assert simulator.pending == 0


async def test_contacts_that_never_read_are_the_same_ones_in_every_run_with_a_seed(sink, clock, message):
    async def readers(seed: int) -> set[str]:
        simulator = Simulator(sink, seed=seed, clock=clock, latency_ms=10, habits=Habits(reading=0.5))
        sink.events.clear()
        contacts = {message(n).wire_id: f"+551199999{n:04d}" for n in range(1, 101)}
        for number, contact in enumerate(contacts.values(), 1):
            await simulator.send(message(number, to=contact))
        clock.advance(30)
        await simulator.deliver_due()
        assert sum(status == "delivered" for _, status in sink.receipts) == 100
        return {contacts[wire_id] for wire_id, status in sink.receipts if status == "read"}

    first = await readers(1)
    assert 30 < len(first) < 70
    assert await readers(1) == first
    assert await readers(2) != first


async def test_an_unreachable_contact_yields_failed_with_metas_code(sink, clock, message):
    simulator = Simulator(sink, clock=clock, latency_ms=10, habits=Habits(unreachable=1))
    await simulator.send(message(1))
    clock.advance(30)
    await simulator.deliver_due()
    assert [(event.status, event.error_code) for event in sink.events] == [("sent", None), ("failed", "131026")]


async def test_latencies_stay_in_their_ranges_and_repeat_with_the_seed(sink, clock, message):
    latency = Latency(sent=(10, 20), delivered=(100, 200), read=(1_000, 2_000))

    async def times(seed: int) -> list[int]:
        simulator = Simulator(sink, seed=seed, clock=clock, latency_ms=latency, habits=Habits(reading=1))
        sink.events.clear()
        start = clock()
        for number in range(20):
            await simulator.send(message(number))
        clock.advance(10_000)
        await simulator.deliver_due()
        return [event.at_ms - start for event in sorted(sink.events, key=lambda event: event.message_id)]

    first = await times(1)
    for sent, delivered, read in zip(first[::3], first[1::3], first[2::3], strict=True):
        assert 10 <= sent <= 20
        assert 100 <= delivered - sent <= 200
        assert 1_000 <= read - delivered <= 2_000
    assert await times(1) == first
    assert await times(2) != first


@pytest.mark.parametrize(("scope", "action"), list(itertools.product(Scope, Action)))
async def test_every_scope_and_action_can_be_injected(simulator, message, scope, action):
    simulator.fail_next(SendError("no", scope=scope, action=action, code="1", retry_after_ms=9), count=2)
    for _ in range(2):
        with pytest.raises(SendError, match="no") as raised:
            await simulator.send(message(1))
        error = raised.value
        assert (error.scope, error.action, error.code, error.retry_after_ms) == (scope, action, "1", 9)
    assert CHAT not in simulator.ledger
    await simulator.send(message(1))
    assert len(simulator.ledger[CHAT]) == 1


async def test_a_failure_for_one_contact_leaves_the_others_alone(simulator, message):
    simulator.fail_next(refusal("131026"), to="+5511999990002")
    await simulator.send(message(1))
    with pytest.raises(SendError):
        await simulator.send(message(2, to="+5511999990002"))
    await simulator.send(message(3, to="+5511999990002"))
    assert len(simulator.ledger) == 2


async def test_failures_are_used_up_in_the_order_in_which_they_were_ordered(simulator, message):
    simulator.fail_next(refusal("131000"))
    simulator.fail_next(InDoubt("no answer"))
    with pytest.raises(SendError):
        await simulator.send(message(1))
    with pytest.raises(InDoubt, match="no answer"):
        await simulator.send(message(1))
    await simulator.send(message(1))


async def test_each_raise_is_an_exception_of_its_own(simulator, message):
    ordered = InDoubt("no answer")
    simulator.fail_next(ordered, count=2)
    raised = []
    for _ in range(2):
        with pytest.raises(InDoubt) as caught:
            await simulator.send(message(1))
        raised.append(caught.value)
    assert len({id(error) for error in (ordered, *raised)}) == 3


async def test_recover_forgets_the_failures_that_are_left(simulator, message):
    simulator.fail_next(refusal("131048"), count=1_000)
    simulator.recover()
    await simulator.send(message(1))
    assert len(simulator.ledger[CHAT]) == 1


@pytest.mark.parametrize(("shown", "seen"), [(False, 0), (True, 1)])
async def test_a_send_in_doubt_may_or_may_not_have_been_seen_and_a_second_send_shows_one(
    simulator, sink, clock, message, shown, seen
):
    simulator.fail_next(InDoubt("the answer was lost"), shown=shown)
    with pytest.raises(InDoubt):
        await simulator.send(message(1))
    assert len(simulator.ledger[CHAT]) == seen

    await simulator.send(message(1))
    assert len(simulator.ledger[CHAT]) == 1
    clock.advance(300)
    await simulator.deliver_due()
    assert [status for _, status in sink.receipts] == ["sent", "delivered", "read"]


def test_orders_that_make_no_sense_are_refused(simulator):
    with pytest.raises(ValueError, match="never shown"):
        simulator.fail_next(refusal("131000"), shown=True)
    with pytest.raises(ValueError, match="count is 0"):
        simulator.fail_next(refusal("131000"), 0)


def test_the_known_refusals_cover_every_scope_and_action():
    errors = [refusal(code) for code in REFUSALS]
    assert {error.scope for error in errors} == set(Scope)
    assert {error.action for error in errors} == set(Action)


@pytest.mark.parametrize("to", ["", "5511999990001", "+0511999990001", "+55 11", "+5511999990001\n", "group@g.us"])
async def test_an_address_that_cannot_be_is_refused_as_undeliverable(simulator, message, to):
    with pytest.raises(SendError) as raised:
        await simulator.send(message(1, to=to))
    assert (raised.value.scope, raised.value.action, raised.value.code) == ("recipient", "drop", "131026")


@pytest.mark.parametrize("content", EVERY_CONTENT, ids=lambda content: content.type)
async def test_a_contact_sees_content_of_every_kind(simulator, message, content):
    sent = replace(message(1), content=content, reply_to="wamid.1")
    await simulator.send(sent)
    (seen,) = simulator.ledger[CHAT]
    assert (seen.content, seen.reply_to, seen.body) == (content, "wamid.1", shown(content))


def test_the_ledger_forgets_the_oldest_messages_beyond_its_limit():
    ledger = Ledger(limit=2)
    for number, contact in enumerate(("+1", "+2", "+1"), 1):
        ledger.show(("shop", contact), Seen(wire_id=str(number), body="", at_ms=number))
    assert [seen.wire_id for seen in ledger["shop", "+1"]] == ["3"]
    ledger.show(("shop", "+1"), Seen(wire_id="4", body="", at_ms=4))
    assert list(ledger) == [("shop", "+1")]


@pytest.mark.parametrize(
    "nonsense",
    [
        lambda: Latency(read=(5, 4)),
        lambda: Latency.every(-1),
        lambda: Habits(reading=1.1),
        lambda: Habits(unreachable=-0.1),
    ],
)
def test_behaviour_that_cannot_be_is_refused(nonsense):
    with pytest.raises(ValueError, match="give"):
        nonsense()
