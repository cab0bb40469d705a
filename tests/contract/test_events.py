"""Node's ``QueueEvents`` sees our transitions as its own, and ours sees Node's."""

import asyncio
from typing import Any

import pytest

from berrante.engine import Backoff, JobOptions, NewJob, Queue, QueueEvent, State, WorkerOptions
from tests.contract.conftest import Pair
from tests.contract.observing import finished, stream, until
from tests.contract.peer import Peer, PeerError, PeerEvents
from tests.contract.record import PATIENCE_S
from tests.contract.sides import QUEUE, Nodes, Ours, Script, Side


async def _until(events: PeerEvents, name: str, job_id: str | None = None) -> list[tuple[str, dict[str, Any]]]:
    """Every event up to the first of that name, with times left out."""
    await events.first(name, job_id=job_id)
    return [
        (event.name, {field: value for field, value in event.fields.items() if field != "delay"})
        for event in events.seen.items
    ]


async def test_a_completed_job(pair: Pair, peer: Peer, prefix: str) -> None:
    events = await peer.events(QUEUE, prefix=prefix)
    await pair.adds.add("talks", {}, JobOptions(job_id="j"))
    async with pair.works.work(Script(progress=(25, {"step": "two"}, "texto"), value={"ok": [1, "é"]})):
        seen = await _until(events, "drained")
    assert seen == [
        ("added", {"jobId": "j", "name": "talks"}),
        ("waiting", {"jobId": "j"}),
        ("active", {"jobId": "j", "prev": "waiting"}),
        ("progress", {"jobId": "j", "data": 25}),
        ("progress", {"jobId": "j", "data": {"step": "two"}}),
        ("progress", {"jobId": "j", "data": "texto"}),
        ("completed", {"jobId": "j", "returnvalue": {"ok": [1, "é"]}, "prev": "active"}),
        ("drained", {}),
    ]


async def test_a_job_that_fails_is_retried_and_fails_for_good(pair: Pair, peer: Peer, prefix: str) -> None:
    events = await peer.events(QUEUE, prefix=prefix)
    await pair.adds.add("flaky", {}, JobOptions(job_id="j", attempts=2, backoff=Backoff.fixed(20)))
    async with pair.works.work(Script(fail="boom", fail_times=2)):
        seen = await _until(events, "drained")
    assert seen == [
        ("added", {"jobId": "j", "name": "flaky"}),
        ("waiting", {"jobId": "j"}),
        ("active", {"jobId": "j", "prev": "waiting"}),
        ("delayed", {"jobId": "j"}),
        ("waiting", {"jobId": "j", "prev": "delayed"}),
        ("active", {"jobId": "j", "prev": "waiting"}),
        ("failed", {"jobId": "j", "failedReason": "boom", "prev": "active"}),
        ("retries-exhausted", {"jobId": "j", "attemptsMade": "2"}),
        ("drained", {}),
    ]


async def test_an_unrecoverable_failure_exhausts_no_retries(pair: Pair, peer: Peer, prefix: str) -> None:
    events = await peer.events(QUEUE, prefix=prefix)
    await pair.adds.add("bad", {}, JobOptions(job_id="j", attempts=3))
    async with pair.works.work(Script(unrecoverable="no")):
        seen = await _until(events, "drained")
    assert [name for name, _ in seen] == ["added", "waiting", "active", "failed", "drained"]


async def test_a_delayed_job_tells_when_it_is_due(pair: Pair, queue: Queue, peer: Peer, prefix: str) -> None:
    events = await peer.events(QUEUE, prefix=prefix)
    async with pair.works.work(Script()):
        await pair.adds.add("later", {}, JobOptions(job_id="j", delay_ms=80))
        seen = await _until(events, "completed")
    assert [name for name, _ in seen][:5] == ["added", "delayed", "waiting", "active", "completed"]
    added, delayed = await events.first("added"), await events.first("delayed")
    due_ms = int(delayed.fields["delay"])
    assert abs(due_ms - (int(added.at.split("-")[0]) + 80)) < 50


async def test_a_job_that_is_handed_back_waits_again(pair: Pair, peer: Peer, prefix: str) -> None:
    events = await peer.events(QUEUE, prefix=prefix)
    await pair.adds.add("limited", {}, JobOptions(job_id="j"))
    async with pair.works.work(Script(limit_ms=30)):
        seen = await _until(events, "completed")
    assert seen[2:5] == [
        ("active", {"jobId": "j", "prev": "waiting"}),
        ("waiting", {"jobId": "j", "prev": "active"}),
        ("active", {"jobId": "j", "prev": "waiting"}),
    ]


async def test_what_an_operator_does(side: Side, ours: Ours, queue: Queue, peer: Peer, prefix: str) -> None:
    events = await peer.events(QUEUE, prefix=prefix)
    await side.add("p", {}, JobOptions(job_id="removed"))
    await side.add("p", {}, JobOptions(job_id="promoted", delay_ms=60_000))
    await side.pause()
    await side.resume()
    await side.remove("removed")
    await side.promote("promoted")
    async with ours.work(Script(fail="no", fail_times=1)):
        await finished(queue, "promoted")
    await side.retry("promoted")
    await events.first("removed")
    await events.seen.wait(lambda items: [event.name for event in items].count("waiting") == 3)
    told = [
        (event.name, event.fields)
        for event in events.seen.items
        if event.name in {"paused", "resumed", "removed"} or event.fields.get("prev") in {"delayed", "failed"}
    ]
    assert told == [
        ("paused", {}),
        ("resumed", {}),
        ("removed", {"jobId": "removed", "prev": "wait"}),
        ("waiting", {"jobId": "promoted", "prev": "delayed"}),
        ("waiting", {"jobId": "promoted", "prev": "failed"}),
    ]


async def test_both_readers_read_the_same_stream(
    ours: Ours, nodes: Nodes, queue: Queue, peer: Peer, prefix: str
) -> None:
    reader = await peer.events(QUEUE, prefix=prefix)
    await nodes.add("talks", {}, JobOptions(job_id="a"))
    await ours.add("flaky", {}, JobOptions(job_id="b", attempts=2, priority=1))
    async with nodes.work({"talks": Script(progress=(1,), value="v"), "*": Script(fail="x", fail_times=9)}):
        await finished(queue, "a", "b")
    last = await reader.first("retries-exhausted")
    mine: list[QueueEvent] = []
    async with asyncio.timeout(PATIENCE_S), stream(queue) as events:
        async for event in events:
            mine.append(event)
            if event.id == last.at:
                break
    theirs = reader.seen.items[: len(mine)]
    assert [(event.id, event.name, event.job_id) for event in mine] == [
        (event.at, event.name, event.job_id) for event in theirs
    ]
    assert [event.fields for event in mine] == [
        {name: value for name, value in event.fields.items() if name != "jobId"} for event in theirs
    ]


async def test_our_reader_starts_with_what_is_to_come(nodes: Nodes, queue: Queue) -> None:
    await nodes.add("before", {}, JobOptions(job_id="before"))
    async with asyncio.timeout(PATIENCE_S), stream(queue, since="$") as events:
        first = asyncio.ensure_future(anext(events))
        await until(lambda: _someone_blocks(queue))
        await nodes.add("after", {}, JobOptions(job_id="after"))
        assert (await first).job_id == "after"


async def _someone_blocks(queue: Queue) -> bool:
    return any("b" in client["flags"] for client in await queue.connection.redis.client_list())


async def test_wait_until_finished_in_node_gets_what_we_return(
    side: Side, ours: Ours, nodes: Nodes, peer: Peer, prefix: str
) -> None:
    events = await peer.events(QUEUE, prefix=prefix)
    good = await side.add("good", {"n": 1})
    bad = await side.add("bad", {"n": 2})
    results = asyncio.gather(
        events.finished(nodes.queue, good), events.finished(nodes.queue, bad), return_exceptions=True
    )
    async with ours.work({"good": Script(echo=True), "bad": Script(unrecoverable="refused")}):
        value, error = await results
    assert value == {"data": {"n": 1}}
    assert isinstance(error, PeerError)
    assert error.message == "refused"
    # And for those that have finished long ago.
    assert await events.finished(nodes.queue, good) == {"data": {"n": 1}}
    with pytest.raises(PeerError, match="refused"):
        await events.finished(nodes.queue, bad)


async def test_the_stream_is_trimmed_to_what_node_set(side: Side, ours: Ours, queue: Queue, peer: Peer) -> None:
    await peer.queue(QUEUE, prefix=queue.prefix).open(streams={"events": {"maxLen": 10}})
    ids = await ours.add_bulk([NewJob("n", n) for n in range(300)])
    async with side.work(Script(), WorkerOptions(concurrency=20)) as worker:
        await worker.runs.wait(lambda runs: len(runs) == len(ids))
        await until(lambda: _is_empty(queue))
    assert await queue.connection.redis.hget(queue.keys.meta, "opts.maxLenEvents") == b"10"
    # MAXLEN ~ drops whole nodes of the stream only, of 100 entries each by default.
    assert await queue.connection.redis.xlen(queue.keys.events) < 10 + 2 * 100


async def _is_empty(queue: Queue) -> bool:
    counts = await queue.counts()
    return counts[State.WAITING] == counts[State.ACTIVE] == 0
