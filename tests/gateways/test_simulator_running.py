"""The simulator's loop: receipts and chatter reach the sink, whatever the sink goes through."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from berrante.gateways.protocol import SendError
from berrante.gateways.simulator import Chatter, Habits, Latency, PostFull, Simulator
from tests.gateways.conftest import ORGANIZATION, READERS
from tests.gateways.moving_clock import NOON_MS
from tests.waiting import until


@asynccontextmanager
async def running(simulator: Simulator) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(simulator.run())
    yield task
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def chatter(**changed: object) -> Chatter:
    options = {
        "instance_id": "shop",
        "organization_id": ORGANIZATION,
        "contacts": ["+5511999990001", "+5511999990002"],
        "mean_interval_ms": 1_000,
        "phrases": ["Hi", "What is the price?"],
        "names": {"+5511999990001": "Ana"},
    }
    return Chatter(**(options | changed))


async def test_the_loop_sleeps_until_the_next_receipt_and_delivers_it(simulator, sink, clock, message):
    async with running(simulator):
        await simulator.send(message(1))
        await until(lambda: clock.sleeping == [100])
        clock.advance(100)
        await until(lambda: sink.receipts == [(message(1).wire_id, "sent")])
        await until(lambda: clock.sleeping == [100])
        clock.advance(200)
        await until(lambda: len(sink.receipts) == 3)


async def test_a_receipt_that_is_due_earlier_wakes_the_loop(sink, clock, simulator, message):
    async with running(simulator):
        await simulator.send(message(1))
        clock.advance(200)
        await until(lambda: clock.sleeping == [100])  # until the first message is read
        written = simulator.write(organization_id=ORGANIZATION, instance_id="shop", sender="+551", text="Hi")
        await until(lambda: sink.incoming == [written])


async def test_a_cancelled_loop_keeps_what_was_on_its_way_for_the_next(simulator, sink, clock, message):
    async with running(simulator):
        await simulator.send(message(1))
        await until(lambda: clock.sleeping)
    assert simulator.pending == 3
    assert clock.sleeping == []
    clock.advance(300)
    async with running(simulator):
        await until(lambda: len(sink.receipts) == 3)


async def test_a_loop_that_is_cancelled_while_the_sink_takes_events_offers_them_again(clock, message):
    offered = asyncio.Event()
    hang = True
    taken = []

    async def sink(events):
        offered.set()
        if hang:
            await asyncio.Event().wait()
        taken.extend(events)

    simulator = Simulator(sink, clock=clock, sleep=clock.sleep, latency_ms=0, habits=READERS)
    await simulator.send(message(1))
    async with running(simulator):
        await offered.wait()
    assert simulator.pending == 3
    hang = False
    assert await simulator.deliver_due() == 3
    assert [event.status for event in taken] == ["sent", "delivered", "read"]


async def test_a_cancellation_that_the_sink_swallows_ends_the_loop_all_the_same(clock, message):
    offered = asyncio.Event()

    async def sink(events):
        offered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    simulator = Simulator(sink, clock=clock, sleep=clock.sleep, latency_ms=0)
    await simulator.send(message(1))
    task = asyncio.create_task(simulator.run())
    await offered.wait()
    task.cancel()
    await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 5)
    assert task.done()


async def test_what_the_sink_does_not_take_is_kept_in_order_and_offered_again_with_backoff(
    simulator, sink, clock, message, caplog
):
    sink.broken = ConnectionError("Redis is away")
    await simulator.send(message(1))
    clock.advance(300)
    pauses = []
    async with running(simulator):
        for attempt in range(1, 10):
            await until(lambda attempt=attempt: len(sink.offers) == attempt and clock.sleeping)
            pauses.append(clock.sleeping[0])
            if attempt == 9:
                sink.broken = None
            clock.advance(clock.sleeping[0])
        await until(lambda: len(sink.receipts) == 3)
    assert pauses == [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]
    assert [status for _, status in sink.receipts] == ["sent", "delivered", "read"]
    assert simulator.pending == 0
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 9
    assert "Redis is away" in warnings[0].getMessage()


async def test_while_the_sink_fails_nothing_overtakes_what_it_would_not_take(simulator, sink, clock, message):
    sink.broken = ConnectionError("Redis is away")
    await simulator.send(message(1))
    clock.advance(100)
    await simulator.deliver_due()
    await simulator.send(message(2))
    sink.broken = None
    clock.advance(99)
    assert await simulator.deliver_due() == 0, "the sink is left alone for 100 ms"
    clock.advance(201)
    await simulator.deliver_due()
    one, two = message(1).wire_id, message(2).wire_id
    assert sink.receipts == [
        (one, "sent"),
        (one, "delivered"),
        (two, "sent"),
        (one, "read"),
        (two, "delivered"),
        (two, "read"),
    ]


async def test_a_full_simulator_refuses_sends_instead_of_losing_receipts(sink, clock, message):
    simulator = Simulator(sink, clock=clock, latency_ms=0, habits=READERS, events_kept=6)
    await simulator.send(message(1))
    await simulator.send(message(2))
    for _ in range(2):
        with pytest.raises(SendError) as raised:
            await simulator.send(message(3))
        assert (raised.value.scope, raised.value.action, raised.value.code) == ("number", "hold", "simulator_full")
    assert len(simulator.ledger["shop", "+5511999990001"]) == 2
    with pytest.raises(PostFull):
        simulator.write(organization_id=ORGANIZATION, instance_id="shop", sender="+551", text="Hi")

    assert (await simulator.send(message(2))).provider_id == message(2).wire_id, "sent before: needs no room"
    assert await simulator.deliver_due() == 6
    await simulator.send(message(3))
    assert len(simulator.ledger["shop", "+5511999990001"]) == 3


async def test_no_more_than_500_events_are_offered_at_once(sink, clock, message):
    simulator = Simulator(sink, clock=clock, latency_ms=0, habits=READERS)
    for number in range(400):
        await simulator.send(message(number))
    assert await simulator.deliver_due() == 1_200
    assert sink.offers == [500, 500, 200]


async def test_an_answer_to_a_send_takes_its_latency(sink, clock, message):
    simulator = Simulator(sink, clock=clock, sleep=clock.sleep, latency_ms=Latency(accept=(50, 50)))
    sending = asyncio.create_task(simulator.send(message(1)))
    await until(lambda: clock.sleeping == [50])
    assert not simulator.ledger
    clock.advance(50)
    assert (await sending).accepted_at_ms == NOON_MS + 50


async def test_what_a_contact_writes_reaches_the_sink_with_an_id_and_its_time(simulator, sink):
    written = simulator.write(
        organization_id=ORGANIZATION, instance_id="shop", sender="+5511999990001", text="Hi", sender_name="Ana"
    )
    again = simulator.write(organization_id=ORGANIZATION, instance_id="shop", sender="+5511999990001", text="Hi")
    await simulator.deliver_due()
    assert sink.incoming == [written, again]
    assert written.message_id != again.message_id
    assert (written.sent_at_ms, written.sender_name) == (NOON_MS, "Ana")
    assert written.content == {"type": "text", "text": "Hi"}


async def test_contacts_write_about_once_per_interval(sink, clock):
    simulator = Simulator(sink, clock=clock, chatter=(chatter(),))
    for _ in range(60_000):
        clock.advance(10)
        await simulator.deliver_due()
    assert 500 < len(sink.incoming) < 700  # 600 intervals
    assert {event.sender for event in sink.incoming} == {"+5511999990001", "+5511999990002"}
    assert {event.content["text"] for event in sink.incoming} == {"Hi", "What is the price?"}
    assert {event.sender_name for event in sink.incoming} == {"Ana", None}
    assert len({event.message_id for event in sink.incoming}) == len(sink.incoming)
    assert all(event.organization_id == ORGANIZATION and event.instance_id == "shop" for event in sink.incoming)
    sent = [event.sent_at_ms for event in sink.incoming]
    assert sent == sorted(sent)


async def test_a_second_run_with_the_same_seed_writes_under_other_ids(sink, clock):
    ids = []
    for _ in range(2):
        simulator = Simulator(sink, seed=3, clock=clock, chatter=(chatter(),))
        clock.advance(60_000)
        await simulator.deliver_due()
        ids.append(sink.incoming[-1].message_id)
    assert ids[0] != ids[1]


async def test_time_that_was_slept_through_is_not_made_up_for(sink, clock):
    simulator = Simulator(sink, clock=clock, chatter=(chatter(),))
    clock.advance(86_400_000)
    await simulator.deliver_due()
    assert len(sink.incoming) == 1


async def test_the_loop_lets_contacts_write(sink, clock):
    simulator = Simulator(sink, clock=clock, sleep=clock.sleep, habits=Habits())
    async with running(simulator):
        simulator.start_chatter(chatter())
        for number in range(1, 6):
            await until(lambda: clock.sleeping)
            clock.advance(clock.sleeping[0])
            await until(lambda number=number: len(sink.incoming) == number)


async def test_nobody_writes_while_there_is_no_room(sink, clock):
    sink.broken = ConnectionError("Redis is away")
    simulator = Simulator(sink, clock=clock, sleep=clock.sleep, chatter=(chatter(),), events_kept=2)
    async with running(simulator):
        for _ in range(12):
            await until(lambda: clock.sleeping)
            clock.advance(20_000)
        assert simulator.pending == 2
        assert len(sink.offers) > 5
        sink.broken = None
        clock.advance(20_000)
        await until(lambda: len(sink.incoming) >= 2)


async def test_a_sleep_that_fails_is_not_hidden(sink, message):
    async def sleep(ms: int) -> None:
        raise RuntimeError("no timer")

    simulator = Simulator(sink, sleep=sleep, latency_ms=60_000)
    await simulator.send(message(1))
    with pytest.raises(RuntimeError, match="no timer"):
        await simulator.run()


@pytest.mark.parametrize("wrong", [{"contacts": []}, {"phrases": []}, {"mean_interval_ms": 0}])
def test_chatter_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="Chatter"):
        chatter(**wrong)
