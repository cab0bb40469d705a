"""Who may see Bull Board, from where it may be written to, and what it says when something is missing."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount

from berrante.app import Application
from berrante.engine import Connection, NewJob, Queue, State
from berrante.web.board import BoardOptions, Identity, OwnerByPassword, page, refusal
from berrante.web.board.app import Board
from berrante.web.board.routes import ENDPOINTS
from tests.app.process import client_of
from tests.conftest import OwnServer

PATH = "/admin/queues"
EMAIL, PASSWORD = "owner@example.com", "correct horse"
OWNER = httpx.BasicAuth(EMAIL, PASSWORD)
TOKEN = {"X-XSRF-TOKEN": "t", "Cookie": "XSRF-TOKEN=t"}
VERSION = json.loads((Path(__file__).parents[2] / "frontend/package.json").read_text())["dependencies"][
    "@bull-board/ui"
]
WRITES = [each for each in ENDPOINTS if each.action]


@pytest.fixture
async def client(application: Application) -> AsyncIterator[httpx.AsyncClient]:
    await application.people.ensure_owner(EMAIL, PASSWORD)
    async with client_of(application) as client:
        yield client


class Scene:
    """A board over one queue, whose guard and audit log are the test's."""

    def __init__(self, connection: Connection, prefix: str, options: BoardOptions) -> None:
        self.queue = Queue("message", connection, prefix=prefix)
        self.written: list[tuple[str, str, str | None, str | None]] = []
        self.answer: Identity | int = Identity(id="7", name="Ana")
        self.audit_fails = False
        board = Board(lambda: {"message": self.queue}, self.guard, self.note, options)
        self.app = Starlette(routes=[Mount(PATH, board)])

    async def guard(self, request: Request) -> Identity | Response:
        if isinstance(self.answer, Identity):
            return self.answer
        return refusal(request, status=self.answer, login="/login")

    async def note(self, identity: Identity, action: str, queue: str | None, job_id: str | None) -> None:
        if self.audit_fails:
            raise OSError("the audit log is away")
        self.written.append((identity.id, action, queue, job_id))

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://board", headers=TOKEN)


@pytest.fixture
def scene(connection: Connection, prefix: str) -> Scene:
    return Scene(connection, prefix, BoardOptions())


async def test_the_owner_sees_all_queues(client: httpx.AsyncClient, application: Application) -> None:
    await application.queues.message.add_bulk([NewJob("incoming", {"n": n}) for n in range(3)])
    answer = await client.get(f"{PATH}/api/queues", params={"activeQueue": "message"}, auth=OWNER)
    assert answer.status_code == 200
    queues = {queue["name"]: queue for queue in answer.json()["queues"]}
    assert {"message", "automation", "campaign", "outbound", "dead-letter", "maintenance"} <= set(queues)
    assert queues["message"]["counts"]["waiting"] == 3
    assert [job["data"]["n"] for job in queues["message"]["jobs"]] == [2, 1, 0]
    assert queues["automation"]["jobs"] == []
    defaults = await client.get(f"{PATH}/api/queues/message/default-job-options", auth=OWNER)
    assert defaults.json()["backoff"] == {"type": "exponential", "delay": 2_000}


@pytest.mark.parametrize("credentials", [None, (EMAIL, "wrong password"), ("nobody@example.com", PASSWORD)])
async def test_nobody_else_comes_in(client: httpx.AsyncClient, credentials: tuple[str, str] | None) -> None:
    auth = httpx.BasicAuth(*credentials) if credentials else None
    page_, api = [await client.get(f"{PATH}{path}", auth=auth) for path in ("/", "/api/queues")]
    assert (page_.status_code, api.status_code) == (401, 401)
    if credentials:
        assert page_.headers["WWW-Authenticate"].startswith("Basic")
    assert api.json()["error"] == {"key": "ERRORS.FORBIDDEN"}
    write = await client.put(f"{PATH}/api/queues/message/pause", auth=auth, headers=TOKEN)
    assert write.status_code == 401


@pytest.mark.parametrize("header", ["Basic", "Basic !", "Basic bm9jb2xvbg==", "Basic /w==", "Bearer x"])
async def test_a_malformed_login_is_no_login(client: httpx.AsyncClient, header: str) -> None:
    assert (await client.get(f"{PATH}/api/queues", headers={"Authorization": header})).status_code == 401


async def test_a_person_who_is_not_the_owner_is_refused() -> None:
    class Members:
        async def verify(self, email: str, password: str) -> object:
            class Member:
                role, is_platform_owner = "owner", False  # an organization's

            return Member()

    member = Members()
    guard = OwnerByPassword(member)  # type: ignore[arg-type]
    scope = {
        "type": "http", "method": "GET", "path": f"{PATH}/api/queues", "root_path": PATH,
        "headers": [(b"authorization", b"Basic YTpi")], "query_string": b"",
    }  # fmt: skip
    answer = await guard(Request(scope))
    assert isinstance(answer, Response)
    assert answer.status_code == 403


async def test_a_password_is_checked_anew_after_a_minute() -> None:
    class Owners:
        asked = 0

        async def verify(self, email: str, password: str) -> object:
            self.asked += 1

            class Owner:
                is_platform_owner, email = True, "a"

            return Owner()

    owners, now = Owners(), 0.0
    guard = OwnerByPassword(owners, clock=lambda: now)  # type: ignore[arg-type]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"authorization", b"Basic YTpi")]}
    for _ in range(3):
        assert await guard(Request(scope)) == Identity(id="a", name="a")
    assert owners.asked == 1
    now = 61.0
    await guard(Request(scope))
    assert owners.asked == 2


async def test_a_guard_sends_pages_to_the_login_and_tells_the_ui(scene: Scene) -> None:
    async with scene.client() as client:
        scene.answer = 401
        page_, api = await client.get(f"{PATH}/queue/message"), await client.get(f"{PATH}/api/queues")
        assert (page_.status_code, page_.headers["Location"]) == (303, "/login")
        assert (api.status_code, api.json()["error"]["key"]) == (401, "ERRORS.FORBIDDEN")
        scene.answer = 403
        page_, api = await client.get(f"{PATH}/"), await client.put(f"{PATH}/api/queues/pause")
        assert (page_.status_code, api.status_code) == (403, 403)
    assert scene.written == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-XSRF-TOKEN": "t"},
        {"Cookie": "XSRF-TOKEN=t"},
        {"Cookie": "XSRF-TOKEN=t", "X-XSRF-TOKEN": "other"},
        {"Cookie": "XSRF-TOKEN=", "X-XSRF-TOKEN": ""},
        TOKEN | {"Sec-Fetch-Site": "cross-site"},
        TOKEN | {"Sec-Fetch-Site": "same-site"},
        TOKEN | {"Origin": "http://elsewhere"},
        TOKEN | {"Origin": "null"},
    ],
)
async def test_a_write_from_elsewhere_is_refused(scene: Scene, headers: dict[str, str]) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(scene.app), base_url="http://board") as client:
        for endpoint in WRITES:
            path = endpoint.path.format(queue="message", job="1", scheduler="s", status="failed")
            answer = await client.request(endpoint.method, f"{PATH}{path}", headers=headers, json={})
            assert (answer.status_code, answer.json()["error"]["key"]) == (403, "ERRORS.FORBIDDEN"), path
    assert scene.written == []


@pytest.mark.parametrize("headers", [{"Origin": "http://board"}, {"Sec-Fetch-Site": "same-origin", "Origin": "x"}, {}])
async def test_a_write_from_its_own_page_or_a_program_is_done_and_audited(
    scene: Scene, headers: dict[str, str]
) -> None:
    async with scene.client() as client:
        assert (await client.put(f"{PATH}/api/queues/message/pause", headers=headers)).status_code == 200
    assert await scene.queue.is_paused()
    assert scene.written == [("7", "queue.pause", "message", None)]


async def test_what_cannot_be_audited_is_not_done(scene: Scene) -> None:
    scene.audit_fails = True
    async with scene.client() as client:
        answer = await client.put(f"{PATH}/api/queues/message/pause")
    assert answer.status_code >= 500
    assert not await scene.queue.is_paused()


async def test_each_write_names_itself_its_queue_and_its_job(scene: Scene) -> None:
    job = await scene.queue.add("send", {})
    async with scene.client() as client:
        await client.patch(f"{PATH}/api/queues/message/{job.id}/priority", json={"priority": 2})
        await client.put(f"{PATH}/api/queues/resume")
        await client.put(f"{PATH}/api/queues/message/job-schedulers/s%2F1/remove")
    assert scene.written == [
        ("7", "job.change_priority", "message", job.id),
        ("7", "queues.resume_all", None, None),
        ("7", "scheduler.remove", "message", "s/1"),
    ]
    assert len({each.action for each in WRITES}) == len(WRITES)


async def test_a_read_only_board_shows_everything_and_changes_nothing(connection: Connection, prefix: str) -> None:
    scene = Scene(connection, prefix, BoardOptions(read_only=True))
    job = await scene.queue.add("send", {})
    async with scene.client() as client:
        (listed,) = (await client.get(f"{PATH}/api/queues")).json()["queues"]
        assert (listed["readOnlyMode"], listed["allowRetries"]) == (True, False)
        for endpoint in WRITES:
            path = endpoint.path.format(queue="message", job=job.id, scheduler="s", status="failed")
            answer = await client.request(endpoint.method, f"{PATH}{path}", json={})
            expected = 200 if endpoint.board else 405  # "all queues" means all that may be changed
            assert answer.status_code == expected, path
    assert await scene.queue.state(job.id) is State.WAITING
    assert not await scene.queue.is_paused()


async def test_the_page_is_strict_and_asks_nobody_else(scene: Scene) -> None:
    async with scene.client() as client:
        client.headers.pop("Cookie")
        answers = [await client.get(f"{PATH}{path}") for path in ("/", "/queue/message", "/queue/message/a%2Fb")]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    html, policy = answers[0].text, answers[0].headers["Content-Security-Policy"]
    assert "https://" not in html.replace(BoardOptions().docs_url, "")
    assert "<%" not in html
    assert f'<base href="{PATH}/"' in html
    assert "unsafe-inline" not in policy
    assert "unsafe-eval" not in policy
    assert "default-src 'none'" in policy
    nonces = [re.search(r"'nonce-([\w-]{24})'", answer.headers["Content-Security-Policy"])[1] for answer in answers]
    assert len(set(nonces)) == 3
    assert f'<script src="styles.js" nonce="{nonces[0]}">' in html
    assert answers[0].headers["Cache-Control"] == "no-store"
    assert "XSRF-TOKEN=" in answers[0].headers["Set-Cookie"]
    assert "samesite=strict" in answers[0].headers["Set-Cookie"].lower()


def test_a_title_cannot_break_out_of_the_page() -> None:
    made = page.make_page(BoardOptions(title="</script><b>&").ui_config(), base="/x/")
    assert "</script><b>" not in made.html
    start = made.html.index('type="application/json">') + len('type="application/json">')
    assert json.loads(made.html[start : made.html.index("</script>", start)])["boardTitle"] == "</script><b>&"


async def test_assets_are_kept_by_digest_and_compressed(client: httpx.AsyncClient) -> None:
    html = (await client.get(f"{PATH}/", auth=OWNER)).text
    script = next(part for part in html.split('"') if part.startswith("static/js/main."))
    answer = await client.get(f"{PATH}/{script}")
    assert answer.status_code == 200
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["Content-Encoding"] == "gzip"
    assert (await client.get(f"{PATH}/static/locales/en-US/messages.json")).headers["Cache-Control"] == "no-cache"
    assert (await client.get(f"{PATH}/static/../page.py")).status_code == 404
    assert (await client.get(f"{PATH}/static/%2e%2e/index.ejs")).status_code == 404


async def test_missing_assets_are_told_with_the_remedy(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(page, "_INDEX", tmp_path / "index.ejs")
    async with scene.client() as client:
        answer = await client.get(f"{PATH}/")
        health = await client.get(f"{PATH}/health")
    assert answer.status_code == 503
    assert "make assets" in answer.text
    assert (health.status_code, health.json()["status"]) == (503, "degraded")
    assert "make assets" in health.json()["ui"]["remedy"]


async def test_health_tells_anybody_whether_and_the_owner_what(client: httpx.AsyncClient) -> None:
    plain = await client.get(f"{PATH}/health")
    assert plain.status_code == 200
    assert plain.json()["status"] == "ok"
    assert "queues" not in plain.json()
    whole = await client.get(f"{PATH}/health", auth=OWNER)
    assert whole.json()["queues"]["message"]["waiting"] == 0
    assert whole.json()["ui"]["version"] == VERSION


async def test_a_redis_that_is_gone_is_told_as_such(own_valkey: OwnServer, prefix: str) -> None:
    async with Connection.from_url(own_valkey.url) as connection:
        scene = Scene(connection, prefix, BoardOptions())
        async with scene.client() as client:
            await own_valkey.kill()
            api, health = await client.get(f"{PATH}/api/queues"), await client.get(f"{PATH}/health")
    assert (api.status_code, api.json()["error"]["key"]) == (503, "ERRORS.REDIS_UNAVAILABLE")
    assert (health.status_code, health.json()["redis"]) == (503, {"status": "down"})


async def test_a_job_that_cannot_be_read_is_shown_as_it_stands(scene: Scene) -> None:
    job = await scene.queue.add("send", {})
    await scene.queue.connection.redis.hset(scene.queue.keys.job(job.id), mapping={"data": "{broken", "opts": "[]"})
    async with scene.client() as client:
        shown = (await client.get(f"{PATH}/api/queues/message/{job.id}")).json()["job"]
        listed = (await client.get(f"{PATH}/api/queues", params={"activeQueue": "message"})).json()["queues"][0]
    assert shown["data"] == "{broken"
    assert [one["id"] for one in listed["jobs"]] == [job.id]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"attempts": 0.5}, "attempts"),
        ({"repeat_every": 5}, "repeat_every"),
        ({"jobId": "a:b"}, "':'"),
        ({"jobId": 7}, "jobId"),
        ({"priority": 2**21}, "priority"),
        ({"backoff": {"type": "mine"}}, "backoff"),
    ],
)
async def test_options_that_make_no_sense_are_refused_by_name(
    scene: Scene, options: dict[str, object], word: str
) -> None:
    async with scene.client() as client:
        answer = await client.post(f"{PATH}/api/queues/message/add", json={"name": "x", "options": options})
    assert answer.status_code == 400
    assert word in answer.json()["message"]
    assert (await scene.queue.counts())[State.WAITING] == 0


async def test_a_copy_of_a_schedulers_job_is_a_plain_job(scene: Scene) -> None:
    await scene.queue.schedulers.upsert("beat", name="beat", every_ms=60_000)
    (scheduler,) = await scene.queue.schedulers.list()
    first = f"repeat:beat:{scheduler.next_ms}"
    async with scene.client() as client:
        job = (await client.get(f"{PATH}/api/queues/message/{first}")).json()["job"]
        options = {name: value for name, value in job["opts"].items() if name != "jobId"}
        answer = await client.post(f"{PATH}/api/queues/message/add", json={"name": "beat", "options": options})
    assert answer.status_code == 200
    assert "repeat" not in answer.json()["job"]["opts"]


async def test_a_body_that_is_not_json_or_too_large_is_refused(scene: Scene) -> None:
    async with scene.client() as client:
        path = f"{PATH}/api/queues/message/add"
        assert (await client.post(path, content=b"{")).status_code == 400
        assert (await client.post(path, content=b"[]")).status_code == 400
        assert (await client.post(path, content=b" " * (5 * 1024 * 1024 + 1))).status_code == 413


async def test_unknown_addresses_and_methods_answer_in_the_uis_form(scene: Scene) -> None:
    async with scene.client() as client:
        unknown = await client.get(f"{PATH}/api/nothing")
        wrong = await client.delete(f"{PATH}/api/queues")
    assert (unknown.status_code, unknown.json()["error"]["key"]) == (404, "ERRORS.NOT_FOUND")
    assert wrong.status_code == 405


async def test_three_hundred_queues_cost_no_more_round_trips_than_one(connection: Connection, prefix: str) -> None:
    queues = {f"q{n}": Queue(f"q{n}", connection, prefix=prefix) for n in range(300)}
    scene = Scene(connection, prefix, BoardOptions())
    app = Starlette(routes=[Mount(PATH, Board(lambda: queues, scene.guard, scene.note, BoardOptions()))])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://board") as client:
        await client.get(f"{PATH}/api/queues")
        before = (await connection.redis.info("stats"))["total_reads_processed"]
        answer = await client.get(f"{PATH}/api/queues")
        after = (await connection.redis.info("stats"))["total_reads_processed"]
    assert len(answer.json()["queues"]) == 300
    # The server reads a pipeline in pieces of 16 kB; a request for each queue would be ten times as many.
    assert after - before < 100


def test_every_route_of_the_genuine_board_is_here() -> None:
    assert len({(each.method, each.path) for each in ENDPOINTS}) == 34
