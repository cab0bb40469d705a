"""After everything was done once, what must stay private is neither in the log nor in Redis."""

import hashlib
import hmac
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
import structlog
from pydantic import SecretStr

from berrante.app import Application, demo
from berrante.engine import Connection, State
from berrante.fakes.graph import FakeGraph
from berrante.gateways.simulator import refusal
from berrante.messaging.campaigns.life import Status
from berrante.messaging.dead_letters import Selection
from berrante.settings import WebhooksSettings
from berrante.store.encryption import new_key
from berrante.telemetry import configure, trace
from tests.app.process import client_of, settings_for, working
from tests.cloud.serving import served
from tests.conftest import OwnServer
from tests.messaging.receiver import receiving
from tests.redis_contents import everything_in
from tests.waiting import until

_SENDER = "5511987654321"
_WORDS = "a very private word about the preço"
_REPLY = "It costs R$ 42"
_BODY = "Only today, dear customer"
_REDIS_PASSWORD = "redis-pass-8731"
_METRICS_TOKEN = "metrics-token-2318"
_CLOUD_NUMBER = "106540352242922"
_CLOUD_TOKEN = "EAAcloud-token-4471"
_CLOUD_SECRET = "cloud-app-secret-9120"
_CLOUD_VERIFY = "cloud-verify-word-5537"
_CLOUD_SENDER = "5511987650000"
_CLOUD_REPLY = "Your order of a very private thing is on its way"
_ENCRYPTION_KEY = new_key()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that is logged, at the level that people leave it at."""
    stream, root, level = io.StringIO(), logging.getLogger(), logging.getLogger().level
    handlers = list(root.handlers)
    configure(level="info", json=True, stream=stream)
    yield stream
    for handler in list(root.handlers):
        if handler not in handlers:
            root.removeHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()


@pytest_asyncio.fixture
async def application(own_valkey: OwnServer, database_url: str, prefix: str) -> AsyncIterator[Application]:
    """On a Redis of its own, with a password."""
    async with Connection.from_url(own_valkey.url) as connection:
        await connection.redis.execute_command(
            "ACL", "SETUSER", "app", "on", f">{_REDIS_PASSWORD}", "~*", "&*", "+@all"
        )
    url = own_valkey.url.replace("redis://", f"redis://app:{_REDIS_PASSWORD}@")
    settings = settings_for(
        redis_url=url,
        database_url=database_url,
        prefix=prefix,
        metrics_token=SecretStr(_METRICS_TOKEN),
        encryption_key=SecretStr(_ENCRYPTION_KEY),
        webhooks=WebhooksSettings(allow_loopback=True),
    )
    quiet = settings.demo.model_copy(update={"contacts": 0})
    settings = settings.model_copy(update={"demo": quiet})
    async with Application.open(settings, latency_ms=5) as application:
        yield application


def _delivery(
    app_secret: str, traceparent: str, *, sender: str = _SENDER, number: str = "1", at: int = 1_760_000_000
) -> tuple[bytes, dict[str, str]]:
    message = {"from": sender, "id": f"wamid.{number}", "timestamp": f"{at}", "type": "text", "text": {"body": _WORDS}}
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "551140000000", "phone_number_id": number},
        "contacts": [{"profile": {"name": "Ana"}, "wa_id": sender}],
        "messages": [message],
    }
    entry = [{"id": "1", "changes": [{"field": "messages", "value": value}]}]
    body = json.dumps({"object": "whatsapp_business_account", "entry": entry}).encode()
    digest = hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest()
    return body, {"X-Hub-Signature-256": f"sha256={digest}", "traceparent": traceparent}


@dataclass(frozen=True)
class _Done:
    access: demo.DemoAccess
    endpoint_secret: str


async def _everything(application: Application) -> _Done:
    """A webhook, a reply, a campaign with a refusal, a dead letter that is put back, requests with keys.

    And the same over the Cloud API, with a program of the organization's that is told of all of it.
    """
    access = await demo.prepare(application)
    fake = FakeGraph(app_secret=_CLOUD_SECRET)
    fake.add_number(_CLOUD_NUMBER, token=_CLOUD_TOKEN)
    async with receiving() as receiver, served(fake.app) as graph:
        endpoint = await application.endpoints.create(
            organization_id=access.instance.organization_id, url=receiver.url, events=["message.*"]
        )
        await _demo(application, access)
        await _cloud(application, access, graph)
        assert receiver.requests
    return _Done(access, endpoint.secret)


async def _cloud(application: Application, access: demo.DemoAccess, graph: str) -> None:
    organization_id = access.instance.organization_id
    await application.instances.create(
        organization_id=organization_id,
        id="cloudy",
        gateway="cloud",
        phone_number_id=_CLOUD_NUMBER,
        app_secret=_CLOUD_SECRET,
        verify_token=_CLOUD_VERIFY,
    )
    await application.cloud_numbers.connect(
        organization_id=organization_id, instance_id="cloudy", access_token=_CLOUD_TOKEN, base_url=graph
    )
    now_s = application.connection.now_ms() // 1_000
    body, headers = _delivery(_CLOUD_SECRET, "", sender=_CLOUD_SENDER, number=_CLOUD_NUMBER, at=now_s)
    async with client_of(application) as client, working(application):
        assert (await client.post("/webhooks/whatsapp/cloudy", content=body, headers=headers)).status_code == 200

        async def has_come() -> bool:
            listed = await application.messages.list(organization_id, instance_id="cloudy")
            return any(message.direction == "in" for message in listed)

        await until(has_come, timeout_s=30)
        message_id = await application.outbound.send(
            organization_id=organization_id, instance_id="cloudy", to=f"+{_CLOUD_SENDER}", text=_CLOUD_REPLY
        )

        async def is_told() -> bool:
            message = await application.messages.get(organization_id, message_id)
            counts = await application.queues.webhook.counts()
            return message is not None and message.status.value == "sent" and counts[State.COMPLETED] > 0

        await until(is_told, timeout_s=30)


async def _demo(application: Application, access: demo.DemoAccess) -> None:
    organization_id = access.instance.organization_id
    body, headers = _delivery(str(access.app_secret), f"00-{'ab' * 16}-{'cd' * 8}-01")
    application.simulator.fail_next(refusal("131026"), to="+5511900000002")
    async with client_of(application) as client, working(application):
        assert (await client.post("/webhooks/whatsapp/demo", content=body, headers=headers)).status_code == 200
        assert (await client.get("/v1/messages", headers={"X-API-Key": str(access.api_key)})).status_code == 200
        assert (await client.get("/v1/messages", headers={"X-API-Key": "brt_live_wrong"})).status_code == 401
        assert (await client.get("/metrics", headers={"Authorization": f"Bearer {_METRICS_TOKEN}"})).status_code == 200
        campaign = await application.campaigns.create(
            organization_id=organization_id,
            instance_id="demo",
            name="Sale",
            body=_BODY,
            recipients=["+5511900000001", "+5511900000002"],
        )
        await application.campaigns.start(organization_id, campaign.id)
        await application.queues.message.add("incoming", {"organizationId": str(organization_id), "instanceId": "demo"})

        async def all_is_done() -> bool:
            listed = await application.messages.list(organization_id)
            ends = [message.status.value for message in listed if message.direction == "out"]
            reached = [end for end in ends if end in {"delivered", "read"}]
            now = await application.campaigns.get(organization_id, campaign.id)
            return (
                (len(reached), ends.count("failed")) == (3, 1)
                and await application.queues.dead_letters.count() == 1
                and now is not None
                and now.status is Status.FINISHED
            )

        await until(all_is_done, timeout_s=30)
        await application.triage.retry_all(Selection())

        async def has_failed_again() -> bool:
            return await application.queues.dead_letters.count() == 1

        await until(has_failed_again)


def _secrets(done: _Done) -> list[str]:
    access = done.access
    found = [
        access.password,
        access.api_key,
        access.app_secret,
        access.verify_token,
        done.endpoint_secret,
        _REDIS_PASSWORD,
        _METRICS_TOKEN,
        _CLOUD_TOKEN,
        _CLOUD_SECRET,
        _CLOUD_VERIFY,
        _ENCRYPTION_KEY,
    ]
    assert all(found)
    return [str(secret) for secret in found]


async def test_a_full_run_logs_no_text_no_number_and_no_secret(application: Application, log: io.StringIO) -> None:
    done = await _everything(application)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert {
        "message.received",
        "automation.replied",
        "campaign.ticked",
        "message.sent",
        "message.status",
        "job.failed",
        "webhook.settled",
    } <= {line["event"] for line in lines}
    assert {line.get("instance_id") for line in lines} >= {"demo", "cloudy"}
    whole = log.getvalue()
    people = [_SENDER, _CLOUD_SENDER, "5511900000001", "5511900000002"]
    private = [*_secrets(done), _WORDS, _REPLY, _BODY, _CLOUD_REPLY, *people]
    assert [each for each in private if each in whole] == []


async def test_a_full_run_leaves_no_secret_in_any_key_of_redis(application: Application) -> None:
    done = await _everything(application)
    stored = await everything_in(application.connection)
    assert len(stored) > 40
    joined = b"\n".join(stored)
    for secret in _secrets(done):
        assert secret.encode() not in joined
        assert hashlib.sha256(secret.encode()).hexdigest().encode() not in joined
    # What is sent stays in the database; what came in is in the job that brought it, until that is removed.
    assert _REPLY.encode() not in joined
    assert _BODY.encode() not in joined
    assert _CLOUD_REPLY.encode() not in joined
    assert _WORDS.encode() in joined


async def test_one_trace_goes_from_the_webhook_through_every_queue(application: Application, log: io.StringIO) -> None:
    await _everything(application)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    events = {line["event"] for line in lines if line.get("trace_id") == "ab" * 16}
    assert events >= {"message.received", "automation.replied", "message.sent"}
    jobs = await application.queues.automation.jobs([State.COMPLETED])
    assert [trace.carried(job.trace_context) for job in jobs].count("ab" * 16) == 2
