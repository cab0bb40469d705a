"""A simulator on a clock that tests move, and messages for it."""

from collections.abc import Callable
from uuid import UUID

import pytest

from berrante.gateways.protocol import OutboundMessage, TextContent
from berrante.gateways.simulator import Habits, Latency, Simulator
from tests.gateways.moving_clock import MovingClock
from tests.gateways.recording_sink import RecordingSink

ORGANIZATION = UUID(int=7)
READERS = Habits(reading=1)


@pytest.fixture
def clock() -> MovingClock:
    return MovingClock()


@pytest.fixture
def sink() -> RecordingSink:
    return RecordingSink()


@pytest.fixture
def simulator(sink: RecordingSink, clock: MovingClock) -> Simulator:
    """All contacts read; every receipt takes 100 ms more."""
    return Simulator(sink, clock=clock, sleep=clock.sleep, latency_ms=Latency.every(100), habits=READERS)


@pytest.fixture
def message() -> Callable[..., OutboundMessage]:
    def make(number: int = 1, *, to: str = "+5511999990001", body: str = "Hello", instance: str = "shop"):
        message_id = UUID(int=number)
        return OutboundMessage(
            organization_id=ORGANIZATION,
            instance_id=instance,
            message_id=message_id,
            wire_id=f"SIM{message_id.hex.upper()}",
            to=to,
            content=TextContent(body=body),
        )

    return make
