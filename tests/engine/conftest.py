import pytest

from berrante.engine import Connection, Queue
from tests.probes import Probe


@pytest.fixture
def queue(connection: Connection, prefix: str) -> Queue:
    return Queue("q", connection, prefix=prefix)


@pytest.fixture
def probe() -> Probe:
    return Probe()
