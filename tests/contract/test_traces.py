"""A trace goes from either side to the other."""

from berrante.engine import Connection, JobOptions, Queue
from tests.contract.peer import Peer
from tests.contract.sides import QUEUE

PARENT = '{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}'


async def test_node_finds_the_trace_that_we_write(connection: Connection, peer: Peer, prefix: str) -> None:
    ours = Queue(QUEUE, connection, prefix=prefix, trace_context=lambda: PARENT)
    traced, silent = await ours.add("n", 1), await ours.add("n", 2, JobOptions(omit_trace_context=True))
    theirs = peer.queue(QUEUE, prefix=prefix)
    options = [job["opts"] for job in (await theirs.get(traced.id), await theirs.get(silent.id)) if job]
    assert [one["telemetry"] for one in options] == [{"metadata": PARENT}, {"omitContext": True}]


async def test_we_find_the_trace_that_node_writes(queue: Queue, peer: Peer, prefix: str) -> None:
    theirs = peer.queue(QUEUE, prefix=prefix)
    traced = await queue.get(await theirs.add("n", 1, telemetry={"metadata": PARENT}))
    silent = await queue.get(await theirs.add("n", 2, telemetry={"omitContext": True}))
    assert traced is not None
    assert silent is not None
    assert (traced.trace_context, silent.trace_context) == (PARENT, None)
    assert silent.raw_options["omc"] is True
