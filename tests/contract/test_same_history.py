"""The same history, played by Node and by us, is the same queue in Redis and the same stream of events."""

from typing import Any

from berrante.engine import Connection
from tests.contract.history import dump, play
from tests.contract.peer import Peer
from tests.contract.sides import Nodes, Ours, Side

#: Compared in shape only: they say in which minute the test ran.
_MINUTES = {"metrics:completed", "metrics:completed:data", "metrics:failed", "metrics:failed:data"}


async def _chapters(side: Side, connection: Connection, prefix: str) -> dict[str, dict[str, Any]]:
    queue = Ours(connection, prefix).queue
    chapters = {}
    async for chapter in play(side, queue):
        left = await dump(connection, queue)
        left["meta"].pop("version", None)  # written by Node's Queue alone: test_meta
        chapters[chapter] = {key: type(value) if key in _MINUTES else value for key, value in left.items()}
    return chapters


async def test_same_history_leaves_the_same_keys(connection: Connection, prefix: str, peer: Peer) -> None:
    theirs = await _chapters(Nodes(peer, f"{prefix}n"), connection, f"{prefix}n")
    mine = await _chapters(Ours(connection, f"{prefix}p"), connection, f"{prefix}p")
    assert list(mine) == list(theirs)
    for chapter, keys in theirs.items():
        assert sorted(mine[chapter]) == sorted(keys), f"keys after {chapter!r}"
        for key, value in keys.items():
            assert mine[chapter][key] == value, f"{key!r} after {chapter!r}"
