"""Claims of many messages in one transaction: each gets its own decision, and nobody's stands in another's way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from sqlalchemy import event, update

from berrante.engine import Snooze, Unrecoverable
from berrante.messaging.contacts.models import contacts
from berrante.messaging.messages import MessageStatus
from berrante.messaging.messages.models import messages
from berrante.messaging.organizations import Organizations
from berrante.messaging.outbound import claims, order
from berrante.messaging.outbound.claiming import Asked, Claiming, Granted
from berrante.messaging.outbound.jobs import SendPayload
from berrante.messaging.queues import QueueName
from tests.messaging.gateway import CautiousGateway
from tests.messaging.platform import Platform
from tests.waiting import until

OUTBOUND = QueueName.OUTBOUND


def _number(place: int) -> str:
    return f"+55119999{place:05}"


@asynccontextmanager
async def _counted(platform: Platform) -> AsyncIterator[list[str]]:
    """Count what is asked of the database."""
    asked: list[str] = []

    def listen(*arguments: object) -> None:
        asked.append(str(arguments[2]).split()[0].upper())

    engine = platform.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", listen)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", listen)


async def _send_all(platform: Platform, ids: list[UUID]) -> list[object]:
    handler = platform.handlers()[OUTBOUND]
    sends = (platform.handle(OUTBOUND, "send", platform.send_data(id_), handler=handler) for id_ in ids)
    return list(await asyncio.gather(*sends, return_exceptions=True))


async def test_messages_that_are_sent_at_once_cost_a_few_statements_and_not_a_few_each(platform: Platform) -> None:
    ids = [await platform.queued_message(to=_number(place)) for place in range(60)]
    async with _counted(platform) as asked:
        assert await _send_all(platform, ids) == [{"status": "sent"}] * len(ids)
    assert len({each.wire_id for each in platform.gateway.sent}) == len(ids)
    assert len(asked) < len(ids), asked


async def test_each_of_a_round_gets_its_own_decision(platform: Platform) -> None:
    kinds = ("sent", "blocked", "unreadable", "sent already", "foreign", "missing", "last")
    ids = {kind: await platform.queued_message(to=_number(place)) for place, kind in enumerate(kinds)}
    other = await Organizations(platform.database).create("Other")
    async with platform.database.begin() as connection:
        blocked = (await platform.message(ids["blocked"])).contact_id
        await connection.execute(
            update(contacts).where(contacts.c.id == blocked).values(blocked_at=contacts.c.first_seen_at)
        )
        for kind, values in {"unreadable": {"content": {"type": "?"}}, "sent already": {"status": "sent"}}.items():
            await connection.execute(update(messages).where(messages.c.id == ids[kind]).values(values))
    data = {kind: platform.send_data(message_id) for kind, message_id in ids.items()}
    data["foreign"]["organizationId"] = str(other.id)
    data["missing"]["messageId"] = str(uuid4())
    handler = platform.handlers()[OUTBOUND]
    found = await asyncio.gather(
        *(platform.handle(OUTBOUND, "send", data[kind], handler=handler) for kind in kinds), return_exceptions=True
    )
    outcomes = dict(zip(kinds, found, strict=True))

    assert outcomes["sent"] == outcomes["last"] == {"status": "sent"}
    assert outcomes["blocked"] == {"status": "skipped", "code": "blocked"}
    assert outcomes["unreadable"] == {"status": "failed", "code": "content_invalid"}
    assert outcomes["sent already"] == {"status": "sent"}
    assert isinstance(outcomes["foreign"], Unrecoverable)
    assert "does not belong to organization" in str(outcomes["foreign"])
    assert isinstance(outcomes["missing"], Unrecoverable)
    assert "has no outgoing message" in str(outcomes["missing"])
    assert {each.message_id for each in platform.gateway.sent} == {ids["sent"], ids["last"]}
    assert (await platform.message(ids["foreign"])).status is MessageStatus.QUEUED


async def test_a_job_that_was_taken_twice_is_one_claim(platform: Platform) -> None:
    message_id = await platform.queued_message()
    gateways = {"simulator": platform.gateway}
    claiming = Claiming(platform.database, platform.queues, gateways, clock=platform.clock, resting_ms=lambda *_: 0)
    payload = SendPayload(organization_id=platform.organization.id, instance_id="sales", message_id=message_id)
    first, second = await claiming.decide([Asked(payload=payload, attempt=1, attempts=4)] * 2)
    assert isinstance(first, Granted)
    assert second == Snooze(order.LOOK_MS)


async def test_a_job_that_is_cancelled_while_it_is_claimed_leaves_its_message_queued(
    platform: Platform, monkeypatch
) -> None:
    platform.gateway = CautiousGateway()
    message_id, other = await platform.queued_message(), await platform.queued_message(to=_number(2))
    claimed, goes_on, claim = asyncio.Event(), asyncio.Event(), claims.claim

    async def slow(*arguments, **named):
        made = await claim(*arguments, **named)
        claimed.set()
        await goes_on.wait()
        return made

    monkeypatch.setattr(claims, "claim", slow)
    handler = platform.handlers()[OUTBOUND]
    sends = [
        asyncio.create_task(platform.handle(OUTBOUND, "send", platform.send_data(id_), handler=handler))
        for id_ in (message_id, other)
    ]
    await claimed.wait()
    sends[0].cancel()
    await asyncio.wait(sends[:1])
    goes_on.set()
    assert await sends[1] == {"status": "sent"}

    async def is_queued() -> bool:
        return (await platform.message(message_id)).status is MessageStatus.QUEUED

    await until(is_queued)
    assert [each.message_id for each in platform.gateway.sent] == [other]
