"""The two sides, and who plays which part."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from berrante.engine import Connection, Queue
from tests.contract.installation import install
from tests.contract.peer import Peer
from tests.contract.sides import Nodes, Ours, Side


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The folder with npm bullmq."""
    return install()


@pytest.fixture
async def peer(redis_url: str, node_modules: Path) -> AsyncIterator[Peer]:
    """A Node process of the test's own: what one test leaves behind cannot reach the next."""
    async with Peer(redis_url, node_modules) as peer:
        yield peer
    assert peer.said == [], "node had something to complain about"


@pytest.fixture
def ours(connection: Connection, prefix: str) -> Ours:
    return Ours(connection, prefix)


@pytest.fixture
def nodes(peer: Peer, prefix: str) -> Nodes:
    return Nodes(peer, prefix)


@pytest.fixture
def queue(ours: Ours) -> Queue:
    """The test's queue, read from Python."""
    return ours.queue


@dataclass(frozen=True, slots=True)
class Pair:
    """Who adds the jobs (and plays the operator), and who works on them."""

    adds: Side
    works: Side


_PAIRS = ("python-to-python", "python-to-node", "node-to-python")


def _pair(names: str, ours: Ours, nodes: Nodes) -> Pair:
    sides: dict[str, Side] = {"python": ours, "node": nodes}
    adds, _, works = names.partition("-to-")
    return Pair(sides[adds], sides[works])


# node-to-node is the control: what a test expects of us is what BullMQ does with itself.
@pytest.fixture(params=[*_PAIRS, "node-to-node"])
def pair(request: pytest.FixtureRequest, ours: Ours, nodes: Nodes) -> Pair:
    return _pair(request.param, ours, nodes)


@pytest.fixture(params=["python", "node"])
def side(request: pytest.FixtureRequest, ours: Ours, nodes: Nodes) -> Side:
    return ours if request.param == "python" else nodes
