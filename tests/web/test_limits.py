"""Rates of requests and quotas of organizations: exact, also at once, and explained by headers."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update

from berrante.app import Application
from berrante.engine import Snooze
from berrante.messaging import audit
from berrante.messaging.campaigns.handler import CampaignHandler
from berrante.messaging.campaigns.models import campaign_recipients, campaigns
from berrante.messaging.errors import QuotaExceeded
from berrante.messaging.limits import RateLimiter
from berrante.messaging.messages.models import messages
from berrante.messaging.quotas import Quota, admit_contacts
from tests.app.process import client_of, settings_for
from tests.conftest import OwnServer
from tests.web.access import error, tenant


async def _quota(application: Application, organization_id, **values: int) -> None:
    await application.quotas.set(organization_id, Quota(**values), actor=audit.COMMAND)


async def test_a_minutes_worth_of_requests_may_come_at_once_and_no_more(application: Application) -> None:
    acme, other = await tenant(application), await tenant(application, "Other")
    await _quota(application, acme.organization_id, requests_per_minute=3)
    async with client_of(application) as client:
        answers = await asyncio.gather(*(client.get("/v1/messages", headers=acme.headers) for _ in range(8)))
        assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 5
        good = sorted(int(answer.headers["X-RateLimit-Remaining"]) for answer in answers if answer.status_code == 200)
        assert good == [0, 1, 2]
        late = next(answer for answer in answers if answer.status_code == 429)
        assert error(late) == (429, "rate_limited")
        assert 1 <= int(late.headers["Retry-After"]) <= 20
        assert late.headers.get_list("X-RateLimit-Limit") == ["3"]
        assert late.headers["X-RateLimit-Remaining"] == "0"
        assert 41 <= int(late.headers["X-RateLimit-Reset"]) <= 60
        # Another organization's key has a limit of its own: the settings'.
        assert (await client.get("/v1/messages", headers=other.headers)).headers["X-RateLimit-Limit"] == "6000"


async def test_a_redis_that_is_away_lets_requests_through(
    own_valkey: OwnServer, database_url: str, prefix: str
) -> None:
    settings = settings_for(redis_url=own_valkey.url, database_url=database_url, prefix=prefix)
    async with Application.open(settings) as application, client_of(application) as client:
        acme = await tenant(application)
        await own_valkey.kill()
        assert (await client.get("/v1/messages", headers=acme.headers)).status_code == 200
        # Guessing passwords is not let through.
        login = await client.post("/auth/login", json={"email": "ana@example.com", "password": "a guess"})
        assert error(login) == (503, "unavailable")


async def test_the_rate_never_admits_more_than_its_burst_at_once(redis_url: str, prefix: str) -> None:
    from berrante.engine import Connection  # noqa: PLC0415

    async with Connection.from_url(redis_url) as connection:
        limiter = RateLimiter(connection.redis, prefix=prefix)
        for per_minute in (1, 2, 59, 60, 1_000_000):
            wanted = min(per_minute, 50) + 3
            found = [await limiter.admit(f"n{per_minute}", per_minute=per_minute) for _ in range(wanted)]
            # Even at one a microsecond, what comes back meanwhile is at most what the even rate gives.
            assert sum(each.admitted for each in found) >= min(per_minute, wanted)
            if per_minute <= 2:
                assert [each.admitted for each in found] == [True] * per_minute + [False] * 3
            assert all(each.remaining <= each.limit == per_minute for each in found)


async def test_messages_a_day_are_counted_exactly_also_at_once(application: Application) -> None:
    acme = await tenant(application)
    await application.instances.create(organization_id=acme.organization_id, id="sales")
    await _quota(application, acme.organization_id, messages_per_day=5)

    refusals: list[QuotaExceeded] = []

    async def send() -> bool:
        try:
            await application.outbound.send(
                organization_id=acme.organization_id, instance_id="sales", to="+5511987654321", text="Oi"
            )
        except QuotaExceeded as exceeded:
            refusals.append(exceeded)
            return False
        return True

    assert sum(await asyncio.gather(*(send() for _ in range(9)))) == 5
    assert {(refusal.limit, refusal.used) for refusal in refusals} == {(5, 5)}
    assert all(0 < refusal.retry_after_s <= 86_400 for refusal in refusals)
    assert (await application.quotas.usage(acme.organization_id)).messages_today == 5
    # A Redis that forgot is told by the rows.
    await application.connection.redis.delete(*await application.connection.redis.keys("berrante:*:messages:*"))
    assert await send() is False
    # Tomorrow is another day.
    clock = application.quotas._clock
    application.quotas._clock = lambda: clock() + 86_400_000
    await application.quotas.take_messages(acme.organization_id)


async def test_a_message_that_was_not_written_is_given_back(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = await tenant(application)
    await application.instances.create(organization_id=acme.organization_id, id="sales")
    await _quota(application, acme.organization_id, messages_per_day=1)
    send = {"organization_id": acme.organization_id, "instance_id": "sales", "to": "+5511987654321", "text": "Oi"}

    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr("berrante.messaging.outbound.service.write", broken)
        with pytest.raises(ZeroDivisionError):
            await application.outbound.send(**send)
    await application.outbound.send(**send)
    with pytest.raises(QuotaExceeded):
        await application.outbound.send(**send)


async def test_running_campaigns_are_counted_also_when_started_at_once(application: Application) -> None:
    acme = await tenant(application)
    await application.instances.create(organization_id=acme.organization_id, id="sales")
    await _quota(application, acme.organization_id, campaigns_running=2)
    drafts = [
        await application.campaigns.create(
            organization_id=acme.organization_id,
            instance_id="sales",
            name=f"{n}",
            body="Oi",
            recipients=["+5511987654321"],
        )
        for n in range(5)
    ]

    async def start(campaign_id) -> bool:
        try:
            await application.campaigns.start(acme.organization_id, campaign_id)
        except QuotaExceeded:
            return False
        return True

    started = await asyncio.gather(*(start(draft.id) for draft in drafts))
    assert sum(started) == 2
    # Starting a running one again takes nothing.
    running = drafts[started.index(True)]
    assert await start(running.id) is True
    await application.campaigns.cancel(acme.organization_id, running.id)
    assert await start(drafts[started.index(False)].id) is True


async def test_contacts_are_admitted_up_to_the_quota(application: Application) -> None:
    acme = await tenant(application)
    await _quota(application, acme.organization_id, contacts=3)
    async with application.database.tenant(acme.organization_id) as connection:
        await admit_contacts(connection, acme.organization_id, adding=3)
        with pytest.raises(QuotaExceeded, match="contacts: 0 of 3 are used"):
            await admit_contacts(connection, acme.organization_id, adding=4)


async def test_quotas_are_shown_with_what_is_used(application: Application) -> None:
    acme = await tenant(application)
    await _quota(application, acme.organization_id, messages_per_day=5)
    async with client_of(application) as client:
        shown = (await client.get("/v1/quotas", headers=acme.headers)).json()
    assert shown["quota"]["messages_per_day"] == 5
    assert shown["usage"] == {"messages_today": 0, "campaigns_running": 0, "contacts": 0}


async def test_a_campaign_is_counted_too_when_it_resumes_runs_again_or_starts_by_itself(
    application: Application,
) -> None:
    acme = await tenant(application)
    await application.instances.create(organization_id=acme.organization_id, id="sales")
    await _quota(application, acme.organization_id, campaigns_running=1)
    own = {"organization_id": acme.organization_id, "instance_id": "sales", "body": "Oi"}
    paused, running, timed = [
        await application.campaigns.create(**own, name=name, recipients=["+5511987654321"])
        for name in ("paused", "running", "timed")
    ]
    campaigns = application.campaigns
    await campaigns.start(acme.organization_id, paused.id)
    await campaigns.pause(acme.organization_id, paused.id)
    await campaigns.schedule(acme.organization_id, timed.id, start_at=datetime.now(UTC) + timedelta(hours=1))
    await campaigns.start(acme.organization_id, running.id)
    with pytest.raises(QuotaExceeded):
        await campaigns.resume(acme.organization_id, paused.id)

    later = CampaignHandler(
        database=application.database,
        queues=application.queues,
        gateways=application.gateways,
        clock=lambda: application.connection.now_ms() + 2 * 3_600_000,
    )
    job = await application.queues.campaign.get(f"campaign-{timed.id}")
    assert job is not None
    assert isinstance(await later(job), Snooze)
    waiting = await campaigns.get(acme.organization_id, timed.id)
    assert waiting is not None
    assert waiting.status == "scheduled"
    assert (waiting.reason or "").startswith("waits to start: ")

    await campaigns.cancel(acme.organization_id, running.id)
    await later(job)
    begun = await campaigns.get(acme.organization_id, timed.id)
    assert begun is not None
    assert (begun.status, begun.reason) == ("running", None)


async def test_start_resume_and_retry_over_the_quota_are_refused_and_change_nothing(application: Application) -> None:
    acme = await tenant(application)
    await application.instances.create(organization_id=acme.organization_id, id="sales")
    own = {"organization_id": acme.organization_id, "instance_id": "sales", "body": "Oi"}
    draft, paused, ended, running = [
        (await application.campaigns.create(**own, name=name, recipients=[f"+551198765432{place}"])).id
        for place, name in enumerate(("draft", "paused", "ended", "running"))
    ]
    for id_ in (paused, ended, running):
        await application.campaigns.start(acme.organization_id, id_)
    await application.campaigns.pause(acme.organization_id, paused)
    await _end_with_a_failure(application, ended)
    await _quota(application, acme.organization_id, campaigns_running=1)

    async with client_of(application) as client:
        for move, id_ in (("start", draft), ("resume", paused), ("retry", ended)):
            answer = await client.post(f"/v1/campaigns/{id_}/{move}", headers=acme.headers)
            assert error(answer) == (429, "quota_exceeded"), move
            assert answer.json()["error"]["details"] == {"quota": "running campaigns", "limit": 1, "used": 1}
            assert int(answer.headers["Retry-After"]) > 0
            assert (answer.headers["X-RateLimit-Limit"], answer.headers["X-RateLimit-Remaining"]) == ("1", "0")
            assert answer.headers["X-RateLimit-Reset"] == answer.headers["Retry-After"]
        shown = [
            (await client.get(f"/v1/campaigns/{id_}", headers=acme.headers)).json() for id_ in (draft, paused, ended)
        ]
        assert [each["status"] for each in shown] == ["draft", "paused", "finished"]
        async with application.database.begin() as connection:
            mine = select(campaign_recipients.c.status, campaign_recipients.c.attempt).where(
                campaign_recipients.c.campaign_id == ended
            )
            assert [tuple(row) for row in await connection.execute(mine)] == [("written", 1)]

        await application.campaigns.cancel(acme.organization_id, running)
        again = await client.post(f"/v1/campaigns/{ended}/retry", headers=acme.headers)
        assert (again.status_code, again.json()) == (200, {"recipients": 1})


async def _end_with_a_failure(application: Application, campaign_id: UUID) -> None:
    """Write to the campaign's one recipient, and let it be that the message failed and the campaign ended."""
    job = await application.queues.campaign.get(f"campaign-{campaign_id}")
    assert job is not None
    handler = CampaignHandler(
        database=application.database,
        queues=application.queues,
        gateways=application.gateways,
        clock=application.connection.now_ms,
    )
    await handler(job)
    message = select(campaign_recipients.c.message_id).where(campaign_recipients.c.campaign_id == campaign_id)
    async with application.database.begin() as connection:
        failed = update(messages).where(messages.c.id == message.scalar_subquery()).values(status="failed")
        assert (await connection.execute(failed)).rowcount == 1
        over = {"status": "finished", "finished_at": datetime.now(UTC)}
        await connection.execute(update(campaigns).where(campaigns.c.id == campaign_id).values(over))
