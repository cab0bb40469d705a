"""Our board and the genuine one agree: in all that they tell, and in what they leave in Redis."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from berrante.engine import Connection, Job, Worker, WorkerOptions
from tests.contract.boards import Boards, Json, boards, timeless
from tests.differential.snapshot import difference
from tests.waiting import until


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started(redis_url: str) -> AsyncIterator[Boards]:
    async with boards(redis_url, PREFIX) as pair:
        yield pair


@pytest.fixture
def pair(started: Boards) -> Boards:
    started.fresh()
    started.written.clear()
    return started


pytestmark = pytest.mark.asyncio(loop_scope="module")
PREFIX = "board"


def _listing(**query: object) -> str:
    return "/queues?" + "&".join(f"{name}={value}" for name, value in query.items())


READS = (
    "/queues",
    _listing(activeQueue="orders", status="latest"),
    _listing(activeQueue="orders", status="latest", jobsPerPage=3),
    *(
        _listing(activeQueue="orders", status=status, page=page, jobsPerPage=5)
        for status in ("active", "waiting", "prioritized", "completed", "failed", "delayed", "waiting-children")
        for page in (1, 2)
    ),
    _listing(activeQueue="mail", status="delayed"),
    _listing(activeQueue="absent"),
    "/job-schedulers",
    "/job-schedulers?queueName=mail",
    "/job-schedulers?queueName=orders",
    *(f"/queues/{queue}/{what}" for queue in ("orders", "mail") for what in ("metrics", "rate-limit", "workers")),
    "/queues/orders/default-job-options",
    "/queues/orders/job-data-schema",
    *(f"/queues/orders/{job}" for job in ("1", "7", "8", "later-1", "wamid.A%2FB==", "text", "none", "parent", "lone")),
    "/queues/orders/deduplicated",
    "/queues/empty/ignored",
    "/queues/orders/7/logs",
    "/queues/orders/wamid.A%2FB==/logs",
    "/queues/orders/absent/logs",
    "/queues/orders/parent/flow",
    "/queues/orders/parent/flow?depth=1",
    "/queues/orders/parent/flow?depth=2&maxChildren=2",
    "/queues/orders/parent/flow?depth=nonsense&maxChildren=0",
    "/queues/mail/grandchild/flow",
    "/queues/mail/grandchild/flow?root=node",
    "/queues/orders/middle/flow?root=node",
    "/queues/orders/lone/flow",
    "/queues/orders/1/flow",
)
REFUSED = (
    ("GET", _listing(page=0), None),
    ("GET", _listing(page="x"), None),
    ("GET", _listing(jobsPerPage=301), None),
    ("GET", _listing(status="asleep"), None),
    ("GET", "/queues/absent/metrics", None),
    ("GET", "/queues/orders/absent", None),
    ("GET", "/queues/orders/absent/flow", None),
    ("PUT", "/queues/absent/pause", None),
    ("PUT", "/queues/orders/absent/retry", None),
    ("PUT", "/queues/orders/later-1/retry", None),
    ("PUT", "/queues/orders/retry/delayed", None),
    ("PUT", "/queues/orders/obliterate", {}),
    ("PUT", "/queues/orders/concurrency", {}),
    ("PUT", "/queues/orders/concurrency", {"concurrency": -1}),
    ("PUT", "/queues/orders/concurrency", {"concurrency": "5"}),
    ("PUT", "/queues/orders/rate-limit", {"max": 0, "duration": 1_000}),
    ("PUT", "/queues/orders/rate-limit", {"max": 5}),
    ("PATCH", "/queues/orders/later-1/delay", {"runAt": "soon"}),
    ("PATCH", "/queues/orders/1/delay", {"runAt": 1}),
    ("PATCH", "/queues/orders/1/priority", {"priority": 2_097_152}),
    ("PATCH", "/queues/orders/1/priority", {"priority": -1}),
    ("PUT", "/queues/orders/1/remove-unprocessed-children", None),
    ("PUT", "/queues/mail/job-schedulers/absent/remove", None),
    ("PUT", "/queues/mail/job-schedulers/absent/run", None),
    ("PATCH", "/queues/mail/job-schedulers/absent", {"every": 1_000}),
    ("PATCH", "/queues/mail/job-schedulers/every", {}),
    ("PATCH", "/queues/mail/job-schedulers/every", {"every": 1_000, "pattern": "* * * * *"}),
    ("PATCH", "/queues/mail/job-schedulers/every", {"every": 0}),
    ("PATCH", "/queues/mail/job-schedulers/every", {"pattern": "not a pattern"}),
    ("PATCH", "/queues/mail/job-schedulers/every", {"every": 1_000, "limit": 0}),
    ("PATCH", "/queues/mail/job-schedulers/every", {"every": 1_000, "endDate": 1}),
)
WRITES = (
    ("PUT", "/queues/pause", None),
    ("PUT", "/queues/resume", None),
    ("PUT", "/queues/orders/pause", None),
    ("PUT", "/queues/mail/resume", None),
    ("POST", "/queues/orders/add", {"name": "new", "data": {"a": 1}, "options": {"attempts": 2}}),
    ("POST", "/queues/orders/add", {"name": "new", "data": {"a": 1}, "options": {"attempts": 1, "delay": 60_000}}),
    (
        "POST",
        "/queues/orders/add",
        {"name": "new", "data": {}, "options": {"attempts": 1, "priority": 4, "jobId": "chosen"}},
    ),
    (
        "POST",
        "/queues/orders/add",
        {
            "name": "new",
            "data": "text",
            "options": {
                "attempts": 3,
                "backoff": {"type": "exponential", "delay": 2_000},
                "lifo": True,
                "removeOnComplete": {"age": 60, "count": 5},
                "removeOnFail": False,
                "keepLogs": 7,
                "stackTraceLimit": 2,
                "deduplication": {"id": "unique", "ttl": 60_000},
            },
        },
    ),
    ("PUT", "/queues/orders/retry/failed", None),
    ("PUT", "/queues/orders/retry/completed", None),
    ("PUT", "/queues/orders/promote", None),
    *(
        ("PUT", f"/queues/orders/clean/{status}", None)
        for status in ("completed", "failed", "delayed", "waiting", "prioritized", "active")
    ),
    ("PUT", "/queues/orders/empty", None),
    ("PUT", "/queues/mail/empty", None),
    ("PUT", "/queues/mail/obliterate", {}),
    ("PUT", "/queues/mail/concurrency", {"concurrency": 7}),
    ("PUT", "/queues/mail/concurrency", {"concurrency": 0}),
    ("PUT", "/queues/orders/rate-limit", {"max": 3, "duration": 2_000}),
    ("PUT", "/queues/mail/rate-limit", {}),
    ("PUT", "/queues/mail/rate-limit", {"max": None}),
    ("PUT", "/queues/mail/rate-limit/release", None),
    ("PUT", "/queues/mail/job-schedulers/every/remove", None),
    ("PATCH", "/queues/mail/job-schedulers/every", {"every": 60_000}),
    ("PATCH", "/queues/mail/job-schedulers/nightly", {"pattern": "30 4 * * *", "tz": "America/Recife", "limit": 3}),
    ("PUT", "/queues/mail/job-schedulers/every/run", None),
    ("PUT", "/queues/orders/7/retry", None),
    ("PUT", "/queues/orders/2/retry", None),
    ("PUT", "/queues/orders/wamid.A%2FB==/retry", None),
    ("PUT", "/queues/orders/later-1/promote", None),
    ("PUT", "/queues/orders/2/clean", None),
    ("PUT", "/queues/orders/parent/clean", None),
    ("PATCH", "/queues/orders/later-1/update-data", {"jobData": {"changed": [1, None, "ü"]}}),
    ("PATCH", "/queues/orders/later-1/delay", {"runAt": 4_102_444_800_000}),
    ("PATCH", "/queues/orders/later-1/priority", {"priority": 9}),
    ("PATCH", "/queues/orders/text/priority", {"priority": 9}),
    ("PUT", "/queues/orders/parent/remove-unprocessed-children", None),
)


async def test_all_reads_agree(pair: Boards) -> None:
    differing = []
    for path in READS:
        node, ours = await pair.both("GET", path)
        assert ours.status == node.status, path
        if _in_order(ours.body) != _in_order(node.body):
            differing.append((path, node.body, ours.body))
    assert differing == []


async def test_redis_stats_agree(pair: Boards) -> None:
    node, ours = await pair.both("GET", "/redis/stats")
    assert ours.body.pop("mode") == "standalone"  # Valkey calls it otherwise, and the genuine one shows nothing
    node.body.pop("mode", None)
    assert ours.body.keys() == node.body.keys()
    for name in ("backend", "version", "port", "os"):
        assert ours.body[name] == node.body[name]
    assert {name: ours.body[name].keys() for name in ("memory", "clients")} == {
        name: node.body[name].keys() for name in ("memory", "clients")
    }


async def test_our_workers_are_seen_by_both(pair: Boards, redis_url: str) -> None:
    async with Connection.from_url(redis_url) as connection:
        worker = Worker("orders", _idle, connection, WorkerOptions(name="w-1"), prefix=PREFIX)
        running = asyncio.create_task(worker.run())

        async def seen() -> bool:
            node, ours = await pair.both("GET", "/queues/orders/workers")
            return bool(node.body["workers"]) and timeless(_ageless(node.body)) == timeless(_ageless(ours.body))

        await until(seen)
        node, ours = await pair.both("GET", "/queues")
        assert [queue["hasWorkers"] for queue in ours.body["queues"]] == [True, False, False]
        assert [queue["hasWorkers"] for queue in node.body["queues"]] == [True, False, False]
        await worker.stop()
        await running


@pytest.mark.parametrize(("method", "path", "body"), REFUSED)
async def test_both_refuse_alike(pair: Boards, method: str, path: str, body: Json) -> None:
    before = pair.ours.state()
    node, ours = await pair.both(method, path, body)
    assert node.status >= 400
    assert (ours.status, ours.body["error"]["key"]) == (node.status, node.body["error"]["key"])
    assert ours.body.get("code") == node.body.get("code")
    assert difference(before, pair.ours.state()) == ""


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_both_leave_the_same_behind(pair: Boards, method: str, path: str, body: Json) -> None:
    if "/clean/" in path:
        await until(lambda: pair.is_aged)
    node, ours = await pair.both(method, path, body)
    assert (ours.status, timeless(_added(ours.body))) == (node.status, timeless(node.body))
    assert node.status < 300
    assert difference(pair.node.state(), pair.ours.state()) == ""
    assert len(pair.written) == 1


async def test_an_id_that_is_there_adds_nothing_on_either_and_ours_says_so(pair: Boards) -> None:
    before = pair.ours.state()
    body = {"name": "again", "data": {}, "options": {"attempts": 1, "jobId": "later-1"}}
    node, ours = await pair.both("POST", "/queues/orders/add", body)
    assert (node.status, ours.status) == (200, 409)
    assert "later-1" in ours.body["message"]
    assert difference(before, pair.ours.state()) == ""
    assert {key for key, value in pair.node.state().items() if before.get(key) != value} <= {
        ":orders:events",
        ":orders:id",
    }


async def test_a_job_at_work_is_removed_by_neither(pair: Boards) -> None:
    (active,) = (await pair.ours.ask("GET", _listing(activeQueue="orders", status="active"))).body["queues"][0]["jobs"]
    node, ours = await pair.both("PUT", f"/queues/orders/{active['id']}/clean")
    assert (ours.status, ours.body) == (node.status, node.body)
    assert ours.status == 409
    await pair.both("PUT", "/queues/orders/pause")
    node, ours = await pair.both("PUT", "/queues/orders/obliterate", {})
    assert (ours.status, ours.body) == (node.status, node.body)
    assert ours.status == 409
    node, ours = await pair.both("PUT", "/queues/orders/obliterate", {"force": True})
    assert (ours.status, ours.body) == (node.status, node.body) == (200, {})
    assert difference(pair.node.state(), pair.ours.state()) == ""


async def test_the_next_job_of_a_scheduler_is_removed_by_neither(pair: Boards) -> None:
    schedulers = (await pair.ours.ask("GET", "/job-schedulers")).body["schedulers"]
    job_id = next(one["nextRunJobId"] for one in schedulers if one["id"] == "every")
    node, ours = await pair.both("PUT", f"/queues/mail/{job_id}/clean")
    assert (ours.status, ours.body) == (node.status, node.body)
    assert ours.body["jobSchedulerId"] == "every"


async def _idle(job: Job) -> None: ...


def _in_order(body: Json) -> Json:
    """Redis gives the children of a parent in no order of its own."""
    if isinstance(body, dict):
        return {
            name: sorted(map(_in_order, value), key=lambda one: one["id"]) if name == "children" else _in_order(value)
            for name, value in body.items()
        }
    return [_in_order(one) for one in body] if isinstance(body, list) else body


def _ageless(body: Json) -> Json:
    return [{**worker, "age": 0} for worker in body["workers"]]


def _added(body: Json) -> Json:
    """Of a job that it just added, Node does not say that it has no delay; of any other it does."""
    if isinstance(body, dict) and body.get("job", {}).get("delay") == 0:
        del body["job"]["delay"]
    return body
