"""The whole product against the stand-in Graph: over HTTP both ways, through the queues, whatever breaks."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from berrante.cli.cloud import first_look
from berrante.engine import RateLimited, Snooze, State
from berrante.engine.groups import Waits
from berrante.fakes.graph import Fault
from berrante.gateways.protocol import MediaContent, MediaKind, TemplateContent, TextContent
from berrante.messaging.handlers import handlers
from berrante.messaging.messages import Message, MessageStatus
from berrante.messaging.outbound import handler as outbound_handler
from berrante.messaging.outbound.jobs import send_id
from berrante.messaging.queues import QueueName
from tests.app.process import working
from tests.cloud.rules import CONTACT, NUMBER, TOKEN
from tests.cloud.shop import Shop, wrote
from tests.waiting import until


async def test_a_contact_writes_is_answered_and_reads(shop: Shop) -> None:
    shop.fake.webhooks.manners.receipts = ("sent", "delivered", "read")
    await shop.application.automations.create(
        organization_id=shop.organization_id, name="Hi", trigger="any", reply="Welcome", instance_id="shop"
    )
    async with working(shop.application):
        await wrote(shop)

        async def reply() -> Message | None:
            listed = await shop.application.messages.list(shop.organization_id)
            return next((each for each in listed if each.status is MessageStatus.READ), None)

        answered = await until(reply, timeout_s=30)
    assert answered is not None
    (seen,) = shop.seen()
    assert (seen.content["body"], seen.wire_id, seen.id) == ("Welcome", answered.wire_id, answered.provider_id)
    async with shop.application.database.begin() as connection:
        prices = (await connection.exec_driver_sql("SELECT billable, model, category FROM message_prices")).all()
    assert [tuple(price) for price in prices] == [(True, "PMP", "service")]


async def test_webhooks_in_batches_repeated_and_out_of_order_come_to_the_same(shop: Shop) -> None:
    manners = shop.fake.webhooks.manners
    manners.batch, manners.repeat, manners.shuffle, manners.held = 7, 2, True, True
    manners.receipts = ("sent", "delivered", "read")
    async with working(shop.application):
        for number in range(5):
            shop.fake.write(NUMBER, sender=str(int(CONTACT) + number), text=f"Oi {number}")
        shop.fake.webhooks.release()
        await shop.incoming(5)
        manners.held = True
        ids = [await shop.send(to=f"+{int(CONTACT) + number}") for number in range(5)]
        await until(lambda: shop.fake.webhooks.waiting == 15)
        shop.fake.webhooks.release()
        for message_id in ids:
            await shop.until(message_id, "read")
    assert [len(shop.seen(str(int(CONTACT) + number))) for number in range(5)] == [1] * 5
    assert len(await shop.incoming(5)) == 5
    assert await shop.application.queues.dead_letters.count() == 0


async def test_a_file_that_a_contact_sends_is_in_the_store(shop: Shop) -> None:
    media_id = shop.fake.world.keep(b"\xff\xd8picture", "image/jpeg")
    async with working(shop.application):
        shop.fake.write(NUMBER, sender=CONTACT, type="image", image={"id": media_id, "mime_type": "image/jpeg"})
        (message,) = await shop.incoming(1)

        async def stored() -> str | None:
            content = (await shop.message(message.id)).content
            return content["image"].get("stored")

        reference = await until(stored, timeout_s=30)
    _, data = await shop.application.media.get(shop.organization_id, str(reference))
    assert data == b"\xff\xd8picture"


async def test_a_file_that_cannot_be_had_is_said_so(shop: Shop) -> None:
    async with working(shop.application):
        shop.fake.write(NUMBER, sender=CONTACT, type="image", image={"id": "404"})
        (message,) = await shop.incoming(1)

        async def noted() -> str | None:
            content = (await shop.message(message.id)).content
            return content["image"].get("unavailable")

        assert "there is no 404" in str(await until(noted, timeout_s=30))


async def test_a_file_of_ours_is_uploaded_and_seen(shop: Shop) -> None:
    stored = await shop.application.media.put(shop.organization_id, b"%PDF", mime_type="application/pdf")
    content = MediaContent(kind=MediaKind.DOCUMENT, stored=stored.reference, filename="invoice.pdf")
    async with working(shop.application):
        await wrote(shop)
        await shop.until(await shop.send(content), "delivered")
    (seen,) = shop.seen()
    assert shop.fake.world.files[seen.content["id"]].data == b"%PDF"


@pytest.mark.parametrize("fault", [Fault.LOST_ANSWER, Fault.BAD_GATEWAY])
async def test_a_lost_answer_is_settled_by_a_status_that_carries_our_id(shop: Shop, fault: Fault) -> None:
    shop.fake.webhooks.manners.receipts = ("sent",)
    async with working(shop.application):
        await wrote(shop)
        shop.fake.webhooks.manners.held = True
        shop.fake.break_next(fault)
        message_id = await shop.send()
        doubtful = await shop.until(message_id, "in_doubt")
        assert doubtful.provider_id is None
        shop.fake.webhooks.release()
        settled = await shop.until(message_id, "sent")
    (seen,) = shop.seen()
    assert (settled.provider_id, settled.failure_reason) == (seen.id, None)


async def test_a_send_that_was_cut_off_before_it_arrived_stays_in_doubt_and_is_not_repeated(shop: Shop) -> None:
    async with working(shop.application):
        await wrote(shop)
        shop.fake.break_next(Fault.LOST_REQUEST)
        await shop.until(await shop.send(), "in_doubt")
        await shop.until(await shop.send(TextContent(body="the next one")), "delivered")
    assert [seen.content["body"] for seen in shop.seen()] == ["the next one"]


async def test_killed_between_the_send_and_its_commit_the_status_tells_what_happened(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker ends after Graph took the message; nothing of it was stored but the claim."""
    async with working(shop.application):
        await wrote(shop)
    message_id = await shop.send()
    entered = asyncio.Event()

    async def killed(*_: object, **__: object) -> None:
        entered.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(outbound_handler.Outcomes, "accepted", killed)
    ahead_ms = 0

    def handler() -> Callable[[Any], Any]:
        return handlers(
            database=shop.application.database,
            queues=shop.application.queues,
            gateways=shop.application.gateways,
            clock=lambda: shop.application.connection.now_ms() + ahead_ms,
        )[QueueName.OUTBOUND]

    job = await shop.application.queues.outbound.get(f"send-{message_id}")
    assert job is not None
    dying = asyncio.create_task(handler()(job))
    await entered.wait()
    dying.cancel()
    await asyncio.wait([dying])
    monkeypatch.undo()
    assert (await shop.message(message_id)).status is MessageStatus.SENDING

    # The next worker waits for the claim to run out, and then sends nothing: Meta would show it twice.
    assert isinstance(await handler()(job), Snooze)
    shop.fake.webhooks.manners.held = False
    ahead_ms = 31_000
    settled = await handler()(job)
    assert settled["status"] in {"in_doubt", "sent", "delivered"}
    async with working(shop.application):
        message = await shop.until(message_id, "delivered")
    (seen,) = shop.seen()
    assert (message.provider_id, message.wire_id) == (seen.id, seen.wire_id)


async def test_a_status_that_comes_before_the_answer_is_not_lost(shop: Shop) -> None:
    async with working(shop.application):
        await wrote(shop)
        shop.fake.break_next(Fault.SILENCE)
        message_id = await shop.send()
        message = await shop.until(message_id, "delivered")
        assert message.provider_id == shop.seen()[0].id


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (131_026, "failed"),
        (131_047, "failed"),
        (131_050, "failed"),
        (132_000, "failed"),
        (132_001, "failed"),
        (131_000, "delivered"),
        (131_056, "delivered"),
        (130_429, "delivered"),
    ],
)
async def test_a_refusal_of_each_class_ends_as_it_should(shop: Shop, code: int, status: str) -> None:
    async with working(shop.application):
        await wrote(shop)
        shop.fake.fail_next(code)
        message = await shop.until(await shop.send(), status)
    assert len(shop.seen()) == (1 if status == "delivered" else 0)
    assert message.failure_code == str(code)


async def test_a_refusal_that_comes_late_is_on_the_message_and_stops_what_it_concerns(shop: Shop) -> None:
    async with working(shop.application):
        await wrote(shop)
        shop.fake.fail_next(131_048, late=True)
        message = await shop.until(await shop.send(), "failed")
    assert message.failure_code == "131048"
    (hold,) = await shop.application.cloud_numbers.holds(shop.organization_id, "shop")
    assert (hold.what, hold.campaigns_only) == ("campaigns", True)


async def test_an_expired_token_holds_and_a_new_one_lets_go_on(shop: Shop) -> None:
    async with working(shop.application):
        await wrote(shop)
    shop.fake.world.tokens[TOKEN] = False
    message_id = await shop.send()
    job = await shop.application.queues.outbound.get(f"send-{message_id}")
    assert job is not None
    handler = handlers(
        database=shop.application.database,
        queues=shop.application.queues,
        gateways=shop.application.gateways,
    )[QueueName.OUTBOUND]
    assert await handler(job) == RateLimited(30_000)  # the whole lane rests
    (hold,) = await shop.application.cloud_numbers.holds(shop.organization_id, "shop")
    assert (hold.what, hold.code) == ("account", "190")

    shop.fake.world.tokens["EAAnew-token"] = True
    await shop.application.cloud_numbers.connect(
        organization_id=shop.organization_id, instance_id="shop", access_token="EAAnew-token"
    )
    assert await handler(job) == {"status": "sent"}


async def test_a_campaign_meets_every_kind_of_trouble_and_each_person_sees_it_once(shop: Shop) -> None:
    people = 24
    fake = shop.fake
    fake.webhooks.manners.repeat, fake.webhooks.manners.batch, fake.webhooks.manners.shuffle = 2, 5, True
    async with working(shop.application):
        await wrote(shop, contacts=people)
        fake.fail_next(130_429, 2)
        fake.fail_next(131_000, 2)
        fake.break_next(Fault.LOST_ANSWER, 3)
        fake.break_next(Fault.BAD_GATEWAY, 2)
        fake.fail_next(131_026, 2)
        ids = [await shop.send(to=f"+{int(CONTACT) + number}") for number in range(people)]

        async def all_done() -> list[str]:
            statuses = [(await shop.message(message_id)).status.value for message_id in ids]
            return statuses if set(statuses) <= {"delivered", "failed"} else []

        statuses = await until(all_done, timeout_s=60)
    assert sorted(statuses) == ["delivered"] * (people - 2) + ["failed"] * 2
    counts = [len(shop.seen(str(int(CONTACT) + number))) for number in range(people)]
    assert sorted(counts) == [0, 0] + [1] * (people - 2)


async def test_what_waits_behind_a_hold_goes_at_once_when_it_is_released(shop: Shop) -> None:
    organization_id, numbers = shop.organization_id, shop.application.cloud_numbers
    template = TemplateContent(name="welcome", language="pt_BR")
    async with working(shop.application):
        await wrote(shop)

        async def held(what: str) -> bool:
            return any(hold.what == what for hold in await numbers.holds(organization_id, "shop"))

        # The account: its numbers' lanes rest, for a minute at a time.
        shop.fake.fail_next(131031)
        first = await shop.send()
        await until(partial(held, "account"), timeout_s=30)
        second = await shop.send()

        async def rests() -> bool:
            return (await shop.application.queues.outbound.groups.stats("shop")).why is Waits.REST

        await until(rests, timeout_s=30)
        assert await numbers.release(organization_id, "shop") == 1
        for message_id in (first, second):
            await shop.until(message_id, "delivered")

        # A template: its messages alone are delayed, for five minutes at a time.
        shop.fake.fail_next(132015)
        third = await shop.send(template)
        await until(partial(held, "template:welcome/pt_BR"), timeout_s=30)

        async def delayed() -> bool:
            return await shop.application.queues.outbound.state(send_id(third)) is State.DELAYED

        await until(delayed, timeout_s=30)
        shop.fake.update(
            "message_template_status_update",
            event="UNPAUSED",
            message_template_name="welcome",
            message_template_language="pt_BR",
        )
        await shop.until(third, "delivered")


async def test_connecting_tells_whether_graph_takes_the_token_and_reads_the_limit(shop: Shop) -> None:
    instance = await shop.application.instances.get("shop")
    assert instance is not None
    told = await first_look(shop.application, instance)
    assert told.startswith("Graph takes the token: number +55 11 4000-0000, quality GREEN")
    state = await shop.application.cloud_numbers.find(shop.organization_id, "shop")
    assert state is not None
    assert (state.messaging_limit, state.quality) == (250, "GREEN")
    shop.fake.world.tokens[TOKEN] = False
    assert "give the number a new access token" in await first_look(shop.application, instance)
