"""Messages a day: campaigns take what is left and wait for the next day, and answers of automations count too."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from berrante.app import Application
from berrante.engine import Job, Snooze, State
from berrante.messaging import audit
from berrante.messaging.campaigns import handler as ticking
from berrante.messaging.campaigns.handler import CampaignHandler
from berrante.messaging.campaigns.replies import change_settings
from berrante.messaging.errors import QuotaExceeded
from berrante.messaging.messages.models import messages
from berrante.messaging.outbound.service import Outbound
from berrante.messaging.quotas import Quota, Quotas
from berrante.messaging.quotas import service as quota_service
from tests.app.process import client_of, working
from tests.waiting import until
from tests.web.access import Tenant, error, tenant

_PACE = {"per_minute": 60_000, "window": 100}
_DAY_MS = 86_400_000


async def _limited(application: Application, limit: int) -> Tenant:
    acme = await tenant(application)
    await application.instances.create(organization_id=acme.organization_id, id="sales")
    await _limit(application, acme.organization_id, limit)
    return acme


async def _limit(application: Application, organization_id: UUID, limit: int) -> None:
    await application.quotas.set(organization_id, Quota(messages_per_day=limit), actor=audit.COMMAND)


async def _started(
    application: Application, organization_id: UUID, people: int, name: str = "Sale"
) -> tuple[UUID, Job]:
    made = await application.campaigns.create(
        organization_id=organization_id,
        instance_id="sales",
        name=name,
        body="Oi",
        pace=_PACE,
        recipients=[f"+55119999900{number:02}" for number in range(people)],
    )
    await application.campaigns.start(organization_id, made.id)
    job = await application.queues.campaign.get(f"campaign-{made.id}")
    assert job is not None
    return made.id, job


def _handler(application: Application, clock: Callable[[], int]) -> CampaignHandler:
    return CampaignHandler(
        database=application.database,
        queues=application.queues,
        gateways=application.gateways,
        clock=clock,
        quotas=application.quotas,
    )


async def _out(application: Application, organization_id: UUID) -> int:
    query = select(func.count()).where(messages.c.organization_id == organization_id, messages.c.direction == "out")
    async with application.database.begin() as connection:
        return int((await connection.execute(query)).scalar_one())


async def _send(application: Application, organization_id: UUID) -> bool:
    try:
        await application.outbound.send(
            organization_id=organization_id, instance_id="sales", to="+5511987654321", text="Oi"
        )
    except QuotaExceeded:
        return False
    return True


async def test_a_campaign_writes_what_is_left_today_and_says_that_it_waits(application: Application) -> None:
    acme = await _limited(application, 6)
    async with client_of(application) as client, working(application):
        for _ in range(2):
            assert await _send(application, acme.organization_id)
        campaign_id, _ = await _started(application, acme.organization_id, 10)

        async def waiting() -> dict[str, Any] | None:
            shown: dict[str, Any] = (await client.get(f"/v1/campaigns/{campaign_id}", headers=acme.headers)).json()
            return shown if shown["reason"] else None

        shown = await until(waiting, timeout_s=30)
        assert shown is not None
        assert shown["status"] == "running"
        assert shown["reason"].startswith("waits until midnight UTC: messages a day: 6 of 6 are used")
        assert await _out(application, acme.organization_id) == 6
        send = {"to": "+5511987654321", "type": "text", "text": "Oi"}
        refused = await client.post("/v1/instances/sales/messages", json=send, headers=acme.headers)
        assert error(refused) == (429, "quota_exceeded")

        cancelled = await client.post(f"/v1/campaigns/{campaign_id}/cancel", headers=acme.headers)
        assert (cancelled.json()["status"], cancelled.json()["reason"]) == ("cancelled", None)


async def test_it_goes_on_when_the_quota_is_raised_and_on_the_next_day(application: Application) -> None:
    acme = await _limited(application, 3)
    campaign_id, job = await _started(application, acme.organization_id, 9)
    later = [0]
    clock = application.quotas._clock = _noon(later)
    tick = _handler(application, clock)

    async def written(ticks: int = 4) -> tuple[int, str | None]:
        for _ in range(ticks):
            outcome = await tick(job)
            assert isinstance(outcome, Snooze)
            assert outcome.delay_ms <= 60_000
            later[0] += 1_000  # the pace lets more be written
        campaign = await application.campaigns.get(acme.organization_id, campaign_id)
        progress = await application.campaigns.progress(acme.organization_id, campaign_id)
        assert campaign is not None
        return progress.planned - progress.pending, campaign.reason

    number, reason = await written()
    assert number == 3
    assert (reason or "").startswith("waits until midnight UTC")
    await _limit(application, acme.organization_id, 5)
    number, reason = await written()
    assert number == 5
    assert "5 of 5 are used" in (reason or "")
    later[0] += _DAY_MS
    assert await written(ticks=4) == (9, None)


def _noon(later: list[int]) -> Callable[[], int]:
    """A clock that stands at noon of tomorrow, so that no midnight passes by itself, and is moved by ``later``."""
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return lambda: int(noon.timestamp() * 1_000) + later[0]


async def test_campaigns_and_sends_at_once_never_pass_the_quota_together_and_use_all_of_it(
    application: Application,
) -> None:
    acme = await _limited(application, 25)
    jobs = [(await _started(application, acme.organization_id, 15, name=name))[1] for name in ("A", "B")]
    later = [0]
    clock = application.quotas._clock = _noon(later)
    ticks = [_handler(application, clock) for _ in jobs]
    for _ in range(4):
        await asyncio.gather(
            *(tick(job) for tick, job in zip(ticks, jobs, strict=True)),
            *(_send(application, acme.organization_id) for _ in range(2)),
        )
        later[0] += 1_000
    for _ in range(2):  # what one had in hand and gave back, the other takes
        for tick, job in zip(ticks, jobs, strict=True):
            await tick(job)
        later[0] += 1_000
    assert await _out(application, acme.organization_id) == 25
    assert not await _send(application, acme.organization_id)


async def test_what_a_tick_took_and_did_not_write_is_given_back(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = await _limited(application, 4)
    _, job = await _started(application, acme.organization_id, 1)
    later = [0]
    clock = application.quotas._clock = _noon(later)
    tick = _handler(application, clock)

    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(ticking, "write_next", broken)
        with pytest.raises(ZeroDivisionError):
            await tick(job)
    with monkeypatch.context() as patched:  # also when it had written before it failed
        patched.setattr(ticking.days, "add", broken)
        with pytest.raises(ZeroDivisionError):
            await tick(job)
    later[0] += 10_000  # many slots of the pace, and one recipient
    await tick(job)
    assert await _out(application, acme.organization_id) == 1
    assert [await _send(application, acme.organization_id) for _ in range(4)] == [True, True, True, False]


async def test_a_redis_that_forgot_is_told_by_the_rows_in_a_tick_too(application: Application) -> None:
    acme = await _limited(application, 4)
    for _ in range(3):
        assert await _send(application, acme.organization_id)
    _, job = await _started(application, acme.organization_id, 5)
    await application.connection.redis.delete(*await application.connection.redis.keys("berrante:*:messages:*"))
    tick = _handler(application, application.connection.now_ms)
    for _ in range(3):
        await tick(job)
    assert await _out(application, acme.organization_id) == 4


async def test_an_answer_of_an_automation_counts_and_is_never_refused(application: Application) -> None:
    acme = await _limited(application, 3)
    await application.automations.create(
        organization_id=acme.organization_id, name="Prices", keywords=["preço"], reply="R$ 10"
    )
    async with working(application):
        for number in range(4):
            data = {
                "organizationId": str(acme.organization_id), "instanceId": "sales", "from": "+5511999990001",
                "content": "preço", "messageId": f"m{number}", "sentAt": application.connection.now_ms(),
            }  # fmt: skip
            assert await _send(application, acme.organization_id) is (number < 2)
            await application.queues.message.add("incoming", data)

            async def answered(expected: int = number + 1) -> bool:
                return await _out(application, acme.organization_id) == expected + min(expected, 2)

            await until(answered)


async def test_the_confirmation_of_an_opt_out_counts_and_is_never_refused(application: Application) -> None:
    acme = await _limited(application, 2)
    await change_settings(
        application.database, acme.organization_id, opt_out_words=None, reply_hours=72, opt_out_reply="Pronto."
    )
    async with working(application):
        assert await _send(application, acme.organization_id)
        for number in range(2):
            data = {
                "organizationId": str(acme.organization_id), "instanceId": "sales", "from": f"+551199999000{number}",
                "content": "sair", "messageId": f"m{number}", "sentAt": application.connection.now_ms(),
            }  # fmt: skip
            job = await application.queues.message.add("incoming", data)

            async def handled(job_id: str = job.id) -> bool:
                return await application.queues.message.state(job_id) is State.COMPLETED

            await until(handled)
            assert await _out(application, acme.organization_id) == 2 + number
            assert not await _send(application, acme.organization_id)


async def test_a_limit_that_is_set_again_counts_what_was_sent_while_there_was_none(application: Application) -> None:
    acme = await _limited(application, 3)
    owner = acme.organization_id
    elsewhere = Quotas(
        application.database, application.connection.redis, prefix=application.settings.queue_prefix,
        clock=application.quotas._clock,
    )  # fmt: skip
    assert await _send(application, owner)
    await application.quotas.set(owner, Quota(), actor=audit.COMMAND)
    await elsewhere.take_messages(owner)  # it remembers for some seconds that there is no limit
    assert [await _send(application, owner) for _ in range(3)] == [True] * 3
    await _limit(application, owner, 4)
    assert not await _send(application, owner)
    await _limit(application, owner, 6)
    assert await _send(application, owner)

    theirs = Outbound(application.database, application.queues, application.gateways, quotas=elsewhere)
    await theirs.send(organization_id=owner, instance_id="sales", to="+5511987654321", text="Oi")
    _, remembered = elsewhere._remembered[owner]
    elsewhere._remembered[owner] = (-quota_service._REMEMBERED_S, remembered)
    with pytest.raises(QuotaExceeded, match="6 of 6 are used"):
        await elsewhere.take_messages(owner)
    assert not await _send(application, owner)
