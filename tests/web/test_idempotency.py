"""Idempotency-Key: whatever is sent again, and however many at once, is done once and answered the same."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from fastapi import Depends, FastAPI, Request, Response
from sqlalchemy import func, select, update

from berrante.app import Application
from berrante.messaging.endpoints.models import webhook_endpoints
from berrante.messaging.idempotency import Begun
from berrante.messaging.idempotency.models import idempotency_keys
from berrante.settings import Settings, WebhooksSettings
from berrante.web.app import create_app
from berrante.web.auth import Identity, identity
from berrante.web.errors import WebError
from berrante.web.idempotency import MAX_BODY, _Once, idempotency_id
from tests.waiting import until

HOOK = {"url": "http://127.0.0.1:9/x", "events": ["*"]}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"webhooks": WebhooksSettings(allow_loopback=True)})


@dataclass
class Work:
    """A route that does what a test wants, counts how often, and remembers the ids that it was given."""

    done: int = 0
    ids: list[UUID | None] = field(default_factory=list)
    act: Callable[[], Any] = lambda: {"ok": True}
    hold: asyncio.Event | None = None

    async def __call__(self, request: Request, who: Annotated[Identity, Depends(identity)], response: Response) -> Any:
        self.done += 1
        self.ids.append(idempotency_id(request))
        if self.hold is not None:
            await self.hold.wait()
        response.headers["Location"] = f"/v1/tasks/{self.done}"
        return self.act() | {"number": self.done}


@dataclass
class Web:
    application: Application
    app: FastAPI
    client: httpx.AsyncClient
    work: Work
    secret: str

    async def post(self, path: str = "/v1/tasks", *, key: str | None = "k1", **how: Any) -> httpx.Response:
        headers = {"X-API-Key": how.pop("secret", self.secret), **how.pop("headers", {})}
        if key is not None:
            headers["Idempotency-Key"] = key
        return await self.client.post(path, headers=headers, **({"json": {"a": 1}} | how))

    async def change(self, **values: Any) -> None:
        async with self.application.database.begin() as connection:
            await connection.execute(update(idempotency_keys).values(values))

    async def keys(self) -> int:
        async with self.application.database.begin() as connection:
            return int((await connection.execute(select(func.count()).select_from(idempotency_keys))).scalar_one())


@pytest_asyncio.fixture
async def web(application: Application) -> AsyncIterator[Web]:
    organization = await application.organizations.create("Acme")
    _, secret = await application.api_keys.issue(organization.id, "test")
    app, work = create_app(application), Work()
    app.add_api_route("/v1/tasks", work.__call__, methods=["POST"])
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield Web(application, app, client, work, secret)
    app.state.health.cancel()


def _code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_the_same_request_is_done_once_and_answered_the_same(web: Web) -> None:
    first, second = [await web.post() for _ in range(2)]
    assert web.work.done == 1
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert second.headers["Location"] == first.headers["Location"]
    assert second.headers["Content-Type"] == first.headers["Content-Type"]
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"


async def test_another_request_under_the_key_is_a_conflict(web: Web) -> None:
    await web.post()
    reused = (409, "idempotency_key_reused")
    assert _code(await web.post(json={"a": 2})) == reused
    assert _code(await web.post("/v1/webhooks")) == reused
    assert _code(await web.post(params={"x": 1})) == reused
    assert web.work.done == 1


async def test_fifty_at_once_are_one_row(web: Web) -> None:
    answers = await asyncio.gather(*(web.post("/v1/webhooks", json=HOOK) for _ in range(50)))
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses[201] == 1
    assert statuses == {201: 1, 409: 49}
    async with web.application.database.begin() as connection:
        assert (await connection.execute(select(func.count()).select_from(webhook_endpoints))).scalar_one() == 1


async def test_while_it_is_done_others_are_told_to_wait(web: Web) -> None:
    web.work.hold = asyncio.Event()
    first = asyncio.create_task(web.post())
    await until(lambda: web.work.done)
    second = await web.post()
    assert _code(second) == (409, "concurrent_idempotent_request")
    assert int(second.headers["Retry-After"]) >= 1
    web.work.hold.set()
    assert (await first).status_code == 200
    assert (await web.post()).content == (await first).content
    assert web.work.done == 1


async def test_a_key_is_an_organizations_own(web: Web) -> None:
    other = await web.application.organizations.create("Other")
    _, secret = await web.application.api_keys.issue(other.id, "test")
    await web.post()
    assert (await web.post(secret=secret)).json()["number"] == 2


async def test_another_key_of_the_organization_is_not_told_the_answer(web: Web) -> None:
    organization_id = (await web.application.api_keys.verify(web.secret)).organization_id  # type: ignore[union-attr]
    _, secret = await web.application.api_keys.issue(organization_id, "weaker")
    await web.post()
    assert _code(await web.post(secret=secret)) == (409, "idempotency_key_reused")


async def test_a_process_that_died_is_taken_over_after_its_lease_under_the_same_id(web: Web) -> None:
    web.work.hold = asyncio.Event()
    first = asyncio.create_task(web.post())
    await until(lambda: web.work.done)
    first.cancel()  # the process ends here, its effect done or not
    await asyncio.wait([first])
    web.work.hold = None
    assert _code(await web.post()) == (409, "concurrent_idempotent_request")

    await web.change(lease_until=datetime.now(UTC) - timedelta(seconds=1))
    assert _code(await web.post(json={"a": 2})) == (409, "idempotency_key_reused")
    assert (await web.post()).status_code == 200
    assert (await web.post()).headers["Idempotent-Replayed"] == "true"
    assert web.work.done == 2
    assert len(set(web.work.ids)) == 1


async def test_who_was_taken_over_does_not_store_its_answer(web: Web) -> None:
    web.work.hold = asyncio.Event()
    slow = asyncio.create_task(web.post())
    await until(lambda: web.work.done)
    await web.change(lease_until=datetime.now(UTC) - timedelta(seconds=1))
    holding, web.work.hold = web.work.hold, None
    taken_over = await web.post()
    holding.set()
    await slow
    assert (await web.post()).content == taken_over.content


async def test_the_lease_is_renewed_while_the_request_runs(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("berrante.web.idempotency.LEASE", timedelta(milliseconds=30))
    web.work.hold = asyncio.Event()
    first = asyncio.create_task(web.post())
    await until(lambda: web.work.done)
    lapsed = datetime.now(UTC) - timedelta(seconds=1)
    await web.change(lease_until=lapsed)

    async def renewed() -> bool:
        async with web.application.database.begin() as connection:
            return (await connection.execute(select(idempotency_keys.c.lease_until))).scalar_one() > datetime.now(UTC)

    await until(renewed)
    web.work.hold.set()
    await first
    assert web.work.done == 1


@pytest.mark.parametrize("status", [500, 503])
async def test_an_error_of_ours_is_not_kept_and_the_next_try_has_the_same_id(web: Web, status: int) -> None:
    def fail() -> Any:
        raise WebError(status, "broken", "on purpose")

    web.work.act = fail
    assert (await web.post()).status_code == status
    web.work.act = lambda: {"ok": True}
    answer = await web.post()
    assert (answer.status_code, answer.json()["number"]) == (200, 2)
    assert len(set(web.work.ids)) == 1


async def test_an_unforeseen_error_is_not_kept_either(web: Web) -> None:
    web.work.act = lambda: 1 / 0
    assert _code(await web.post()) == (500, "internal_error")
    web.work.act = lambda: {"ok": True}
    assert (await web.post()).status_code == 200


async def test_a_request_that_never_answers_frees_its_key(web: Web) -> None:
    keys = web.application.idempotency_keys
    organization_id = (await web.application.api_keys.verify(web.secret)).organization_id  # type: ignore[union-attr]
    begun = await keys.begin(organization_id, "k", fingerprint=b"f")
    assert isinstance(begun, Begun)

    async def silent(*_: object) -> None:
        return None

    await _Once(silent, keys, begun, silent).do({}, silent)
    again = await keys.begin(organization_id, "k", fingerprint=b"f")
    assert isinstance(again, Begun)
    assert again.id == begun.id


async def test_too_many_requests_is_forgotten(web: Web) -> None:
    def limit() -> Any:
        raise WebError(429, "rate_limited", "slow down", headers={"Retry-After": "1"})

    web.work.act = limit
    assert (await web.post()).headers["Retry-After"] == "1"
    assert await web.keys() == 0
    web.work.act = lambda: {"ok": True}
    assert (await web.post(json={"other": True})).status_code == 200


async def test_a_refusal_is_kept(web: Web) -> None:
    answers = [await web.post("/v1/webhooks", json={"url": "https://10.0.0.1/", "events": ["*"]}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert answers[1].headers["Idempotent-Replayed"] == "true"


async def test_an_answer_that_shows_a_secret_is_not_kept(web: Web) -> None:
    made = (await web.post("/v1/webhooks", json=HOOK)).json()
    again = await web.post("/v1/webhooks", json=HOOK)
    assert _code(again) == (409, "idempotent_answer_not_kept")
    assert "201" in again.json()["error"]["message"]
    async with web.application.database.begin() as connection:
        row = (await connection.execute(select(idempotency_keys))).one()
        (id_,) = (await connection.execute(select(webhook_endpoints.c.id))).scalars()
    assert row.answer_body is None
    assert made["secret"].encode() not in repr(row).encode()
    assert str(id_) == made["id"]


async def test_a_row_that_was_made_before_its_process_died_is_made_once(web: Web) -> None:
    first = (await web.post("/v1/webhooks", json=HOOK)).json()
    # As if the process had ended between its commit and keeping the answer.
    await web.change(answered_at=None, answer_status=None, lease_until=datetime.now(UTC) - timedelta(seconds=1))
    assert (await web.post("/v1/webhooks", json=HOOK)).json() == first


async def test_a_day_later_the_key_is_as_good_as_new(web: Web) -> None:
    await web.post()
    await web.change(created_at=datetime.now(UTC) - timedelta(hours=25))
    assert (await web.post(json={"other": True})).json()["number"] == 2
    assert len(set(web.work.ids)) == 2


async def test_old_keys_are_removed(web: Web) -> None:
    await web.post(key="old")
    await web.change(created_at=datetime.now(UTC) - timedelta(hours=25))
    await web.post(key="new")
    assert await web.application.idempotency_keys.forget_old() == 1
    assert await web.keys() == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
async def test_an_unfit_key_is_refused(web: Web, key: str) -> None:
    assert _code(await web.post(key=key)) == (400, "idempotency_key_invalid")
    assert web.work.done == 0


async def test_an_upload_has_no_key_and_is_told_why(web: Web) -> None:
    answer = await web.post(json=None, files={"file": ("a.csv", b"a,b")})
    assert _code(answer) == (400, "idempotency_unsupported")
    assert "multipart/form-data" in answer.json()["error"]["message"]
    too_large = await web.post(json=None, content=b"x" * (MAX_BODY + 1))
    assert _code(too_large) == (413, "body_too_large")
    assert web.work.done == 0


async def test_without_a_key_everything_is_done_each_time(web: Web) -> None:
    for _ in range(2):
        assert (await web.post(key=None)).status_code == 200
    assert (web.work.done, await web.keys()) == (2, 0)
    assert web.work.ids == [None, None]


async def test_without_a_caller_it_is_401_and_nothing_is_written(web: Web) -> None:
    assert (await web.post(secret="brt_live_unknown_unknown")).status_code == 401
    assert await web.keys() == 0


async def test_an_answer_that_cannot_be_kept_is_given_all_the_same(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise ConnectionError("the database is away")

    monkeypatch.setattr(web.application.idempotency_keys, "finish", away)
    assert (await web.post()).json()["number"] == 1


async def test_every_post_of_the_document_names_the_header(web: Web) -> None:
    document = web.app.openapi()
    posts = {path: methods["post"] for path, methods in document["paths"].items() if "post" in methods}
    for path, operation in posts.items():
        named = [each["name"] for each in operation.get("parameters", [])].count("Idempotency-Key")
        assert named == (1 if path.startswith("/v1/") else 0), path


async def test_a_message_that_was_stored_before_its_process_died_is_one_message(web: Web) -> None:
    of = web.application
    (organization,) = await of.organizations.list()
    await of.instances.create(organization_id=organization.id, id="sales")
    path, body = "/v1/instances/sales/messages", {"to": "+5511987654321", "type": "text", "text": "Oi"}
    first = (await web.post(path, json=body)).json()
    # As if the process had ended between its commit and keeping the answer, and its job had been lost too.
    await of.queues.outbound.remove(f"send-{first['id']}")
    await web.change(answered_at=None, answer_status=None, lease_until=datetime.now(UTC) - timedelta(seconds=1))

    assert (await web.post(path, json=body)).json() == first
    (message,) = await of.messages.list(organization.id)
    assert str(message.id) == first["id"]
    assert message.wire_id == of.gateways["simulator"].wire_id(message.id)
    assert await of.queues.outbound.get(f"send-{message.id}") is not None
