"""The webhook routes over HTTP: who gets in, and what an answer promises. The engines are stood in for here."""

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy.exc import InterfaceError

from berrante.gateways.protocol import Event
from berrante.web.webhooks import MAX_BODY, router

PAYLOADS = Path(__file__).parent.parent / "gateways" / "payloads"
BATCH = (PAYLOADS / "batch.json").read_bytes()
ORGANIZATION = UUID(int=7)
URL = "/webhooks/whatsapp/shop"
REDIS_AWAY = RedisConnectionError("Error 111 connecting to 127.0.0.1:6379")
DATABASE_AWAY = InterfaceError("select", {}, OSError("the connection is closed"))


@dataclass
class Shop:
    id: str = "shop"
    organization_id: UUID = ORGANIZATION
    phone_number_id: str | None = "106540352242922"
    app_secret: str | None = "our secret"
    verify_token: str | None = "our tökén"


@dataclass
class Process:
    """What the routes need of a process, in memory; each part can be made to fail."""

    shop: Shop = field(default_factory=Shop)
    taken: list[Event] = field(default_factory=list)
    counted: Counter[tuple[UUID, str, str]] = field(default_factory=Counter)
    steps: list[str] = field(default_factory=list)
    broken: dict[str, Exception] = field(default_factory=dict)

    @property
    def instances(self) -> "Process":
        return self

    @property
    def unknowns(self) -> "Process":
        return self

    async def get(self, instance_id: str) -> Shop | None:
        self._step("get")
        return self.shop if instance_id == self.shop.id else None

    async def intake(self, events: Sequence[Event]) -> None:
        self._step("intake")
        self.taken += events

    async def count(self, organization_id: UUID, instance_id: str, kinds: Mapping[str, int]) -> None:
        self._step("count")
        for kind, number in kinds.items():
            self.counted[organization_id, instance_id, kind] += number

    def _step(self, name: str) -> None:
        self.steps.append(name)
        if name in self.broken:
            raise self.broken[name]


@pytest.fixture
def process() -> Process:
    return Process()


@pytest_asyncio.fixture
async def client(process: Process) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.state.application = process
    app.include_router(router)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://berrante") as client:
        yield client


def signed(body: bytes, secret: str = "our secret") -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}", "Content-Type": "application/json"}


async def deliver(client: httpx.AsyncClient, body: bytes, url: str = URL) -> httpx.Response:
    return await client.post(url, content=body, headers=signed(body))


def code(response: httpx.Response) -> str:
    error = response.json()["error"]
    assert {"code", "message"} <= set(error)
    assert error["message"]
    return error["code"]


async def test_a_signed_batch_is_taken_wholly_and_what_is_not_understood_is_counted(client, process):
    response = await deliver(client, BATCH)
    assert response.status_code == 200
    assert response.json() == {"events": 7, "not_understood": 3}
    assert len(process.taken) == 7
    assert {(event.organization_id, event.instance_id) for event in process.taken} == {(ORGANIZATION, "shop")}
    assert process.counted == {
        (ORGANIZATION, "shop", "message:ephemeral"): 1,
        (ORGANIZATION, "shop", "status:deleted"): 1,
        (ORGANIZATION, "shop", "foreign:phone_number_id"): 1,
    }
    assert process.steps == ["get", "intake", "count"]


async def test_the_same_delivery_hands_in_the_same_events(client, process):
    await deliver(client, BATCH)
    await deliver(client, BATCH)
    assert process.taken[:7] == process.taken[7:]


async def test_an_unknown_instance_is_not_found(client, process):
    response = await deliver(client, BATCH, "/webhooks/whatsapp/other")
    assert (response.status_code, code(response)) == (404, "not_found")
    assert process.taken == []


@pytest.mark.parametrize("signature", [None, "", "sha256=", "sha1=" + "0" * 40, "sha256=" + "0" * 63, "0" * 64])
async def test_without_a_well_formed_signature_nobody_gets_in(client, process, signature):
    headers = {} if signature is None else {"X-Hub-Signature-256": signature}
    response = await client.post(URL, content=BATCH, headers=headers)
    assert (response.status_code, code(response)) == (401, "signature_missing")
    assert process.steps == ["get"]


async def test_a_signature_with_another_secret_or_of_another_body_is_wrong(client, process):
    for headers in (signed(BATCH, "their secret"), signed(BATCH + b" "), signed(b"")):
        response = await client.post(URL, content=BATCH, headers=headers)
        assert (response.status_code, code(response)) == (403, "signature_wrong")
    assert "intake" not in process.steps


@pytest.mark.parametrize("secret", [None, ""])
async def test_an_instance_without_a_secret_takes_nothing(client, process, secret):
    process.shop.app_secret = secret
    response = await client.post(URL, content=BATCH, headers=signed(BATCH, ""))
    assert response.status_code == 403
    assert process.taken == []


async def test_the_signature_is_checked_before_the_body_is_read_as_json(client, process):
    response = await client.post(URL, content=b"not json", headers=signed(b"something else"))
    assert response.status_code == 403


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b'{"object": "whatsapp_business_account"}', b"\xff\xfe"])
async def test_a_signed_body_that_is_no_webhook_is_a_bad_request_with_the_reason(client, process, body):
    response = await deliver(client, body)
    assert (response.status_code, code(response)) == (400, "malformed_webhook")
    assert "cannot be read: " in response.json()["error"]["message"]
    assert process.steps == ["get"]


def padded(size: int) -> bytes:
    text = json.dumps({"object": "whatsapp_business_account", "entry": []}).encode()
    return text + b" " * (size - len(text))


async def test_a_body_may_have_3_megabytes(client, process):
    assert (await deliver(client, padded(MAX_BODY))).status_code == 200


async def test_a_larger_body_is_refused_by_what_it_announces(client, process):
    response = await deliver(client, padded(MAX_BODY + 1))
    assert (response.status_code, code(response)) == (413, "body_too_large")


async def test_a_larger_body_that_announces_nothing_is_refused_while_it_comes(client, process):
    body = padded(MAX_BODY + 1_000_000)
    read = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal read
        for start in range(0, len(body), 100_000):
            read += 1
            yield body[start : start + 100_000]

    response = await client.post(URL, content=chunks(), headers=signed(body))
    assert (response.status_code, code(response)) == (413, "body_too_large")
    assert process.taken == []


async def test_a_body_in_chunks_is_verified_as_one(client, process):
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(BATCH), 100):
            yield BATCH[start : start + 100]

    response = await client.post(URL, content=chunks(), headers=signed(BATCH))
    assert response.status_code == 200
    assert len(process.taken) == 7


@pytest.mark.parametrize(
    ("step", "error"),
    [("get", DATABASE_AWAY), ("intake", REDIS_AWAY), ("intake", OSError("broken pipe")), ("count", DATABASE_AWAY)],
)
async def test_while_an_engine_is_away_meta_is_asked_to_deliver_again(client, process, step, error):
    process.broken[step] = error
    response = await deliver(client, BATCH)
    assert (response.status_code, code(response)) == (503, "unavailable")
    assert int(response.headers["Retry-After"]) > 0
    assert "127.0.0.1" not in response.text

    del process.broken[step]
    assert (await deliver(client, BATCH)).status_code == 200
    assert process.counted.total() == 3


async def test_an_error_that_is_nobodys_outage_is_not_called_one(client, process):
    process.broken["intake"] = ValueError("a bug")
    with pytest.raises(ValueError, match="a bug"):
        await deliver(client, BATCH)


def question(**changed: str) -> dict[str, str]:
    return {"hub.mode": "subscribe", "hub.verify_token": "our tökén", "hub.challenge": "1158201444"} | {
        f"hub.{name}": value for name, value in changed.items()
    }


async def test_the_right_verify_token_gets_the_challenge_back_as_plain_text(client):
    response = await client.get(URL, params=question())
    assert (response.status_code, response.text) == (200, "1158201444")
    assert response.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize("changed", [{"verify_token": "other"}, {"verify_token": ""}, {"mode": "unsubscribe"}])
async def test_any_other_question_is_forbidden(client, changed):
    response = await client.get(URL, params=question(**changed))
    assert (response.status_code, code(response)) == (403, "forbidden")


async def test_a_question_without_parameters_or_to_an_unknown_instance_is_forbidden(client):
    assert (await client.get(URL)).status_code == 403
    assert (await client.get("/webhooks/whatsapp/other", params=question())).status_code == 403


@pytest.mark.parametrize("token", [None, ""])
async def test_an_instance_without_a_verify_token_verifies_nobody(client, process, token):
    process.shop.verify_token = token
    assert (await client.get(URL, params=question(verify_token=""))).status_code == 403


async def test_a_question_while_the_database_is_away_is_to_be_asked_again(client, process):
    process.broken["get"] = DATABASE_AWAY
    assert (await client.get(URL, params=question())).status_code == 503
