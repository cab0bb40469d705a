"""What stands in ``meta``, and that Node reads it."""

from berrante.engine import Connection, Queue
from tests.contract.observing import finished
from tests.contract.peer import Peer
from tests.contract.sides import QUEUE, Nodes, Ours, Script


async def test_our_queue_needs_no_version_to_be_read_by_node(
    ours: Ours, queue: Queue, connection: Connection, peer: Peer, prefix: str
) -> None:
    """Node's ``Queue`` writes ``version`` for its own ``getVersion``; no script and no worker reads it."""
    job_id = await ours.add("n")
    async with ours.work(Script()):
        await finished(queue, job_id)
    assert await connection.redis.hgetall(queue.keys.meta) == {b"opts.maxLenEvents": b"10000"}
    reader = peer.queue(QUEUE, prefix=prefix)
    await reader.open(skipMetasUpdate=True)
    assert await reader.call("getVersion") is None
    assert await reader.call("getMeta") == {"maxLenEvents": 10_000, "paused": False}
    assert (await reader.counts())["completed"] == 1
    assert await connection.redis.hgetall(queue.keys.meta) == {b"opts.maxLenEvents": b"10000"}


async def test_what_node_writes_into_meta_stays(nodes: Nodes, ours: Ours, queue: Queue, connection: Connection) -> None:
    await nodes.queue.open()
    before = await connection.redis.hgetall(queue.keys.meta)
    assert before == {b"opts.maxLenEvents": b"10000", b"version": b"bullmq:6.7.0"}
    job_id = await ours.add("n")
    async with ours.work(Script()):
        await finished(queue, job_id)
    await queue.pause()
    await queue.resume()
    assert await connection.redis.hgetall(queue.keys.meta) == before


async def test_node_reads_the_limits_that_we_set(nodes: Nodes, queue: Queue) -> None:
    await queue.set_rate(100, 60_000)
    await queue.set_concurrency(7)
    await queue.pause()
    assert await nodes.queue.call("getGlobalRateLimit") == {"max": 100, "duration": 60_000}
    assert await nodes.queue.call("getGlobalConcurrency") == 7
    meta = await nodes.queue.call("getMeta")
    assert (meta["max"], meta["duration"], meta["concurrency"], meta["paused"]) == (100, 60_000, 7, True)
    await queue.set_concurrency(None)
    assert await nodes.queue.call("getGlobalConcurrency") is None


async def test_the_keys_of_a_queue_are_where_node_has_them(ours: Ours, nodes: Nodes, queue: Queue) -> None:
    job_id = await nodes.add("n", {"x": 1})
    assert await ours.states() == {"waiting": 1}
    assert await queue.connection.redis.hget(queue.keys.job(job_id), "data") == b'{"x":1}'
    assert queue.keys.base == f"{queue.prefix}:{QUEUE}:"
