"""Receipts: they come in any order, twice, and for anybody's message."""

from itertools import permutations

import pytest

from berrante.messaging.clock import moment
from berrante.messaging.errors import ReceiptTooEarly
from berrante.messaging.instances import Instances
from berrante.messaging.organizations import Organizations
from berrante.messaging.queues import QueueName
from tests.messaging.platform import NOW_MS, Platform

TIMES = {"sent": NOW_MS, "delivered": NOW_MS + 1_000, "read": NOW_MS + 2_000, "failed": NOW_MS + 500}


async def _tell(platform: Platform, about: str, status: str, **change: object) -> object:
    data = {
        "organizationId": str(platform.organization.id),
        "instanceId": "sales",
        "messageId": about,
        "status": status,
        "at": TIMES[status],
    } | change
    return await platform.handle(QueueName.MESSAGE, "receipt", data)


@pytest.mark.parametrize("order", list(permutations(["sent", "delivered", "read"])))
async def test_receipts_in_any_order_come_to_the_same(platform: Platform, order: tuple[str, ...]) -> None:
    message_id = await platform.queued_message()
    wire_id = (await platform.message(message_id)).wire_id
    for status in [*order, *order]:
        await _tell(platform, wire_id, status)

    message = await platform.message(message_id)
    assert message.status == "read"
    assert (message.sent_at, message.delivered_at, message.read_at) == tuple(
        moment(TIMES[status]) for status in ("sent", "delivered", "read")
    )


async def test_a_failure_says_why(platform: Platform) -> None:
    message_id = await platform.queued_message()
    wire_id = (await platform.message(message_id)).wire_id
    await _tell(platform, wire_id, "sent")
    await _tell(platform, wire_id, "failed", errorCode=131026, error="Message undeliverable")

    message = await platform.message(message_id)
    assert (message.status, message.failure_code) == ("failed", "131026")
    assert message.failure_reason == "Message undeliverable"


async def test_a_failure_after_delivery_changes_nothing(platform: Platform) -> None:
    message_id = await platform.queued_message()
    wire_id = (await platform.message(message_id)).wire_id
    await _tell(platform, wire_id, "delivered")
    await _tell(platform, wire_id, "failed", errorCode="1")

    message = await platform.message(message_id)
    assert (message.status, message.failure_code) == ("delivered", None)


async def test_a_message_that_a_receipt_proves_sent_is_not_sent_again(platform: Platform) -> None:
    message_id = await platform.queued_message()
    await _tell(platform, (await platform.message(message_id)).wire_id, "sent")

    answer = await platform.handle(QueueName.OUTBOUND, "send", platform.send_data(message_id))

    assert answer == {"status": "sent"}
    assert platform.gateway.sent == []


async def test_a_receipt_reaches_no_other_number_and_no_incoming_message(platform: Platform) -> None:
    other = await Organizations(platform.database).create("Other")
    await Instances(platform.database).create(organization_id=other.id, id="theirs")
    await Instances(platform.database).create(organization_id=platform.organization.id, id="support")
    message = await platform.message(await platform.queued_message())
    theirs = {"organizationId": str(other.id), "instanceId": "theirs"}
    with pytest.raises(ReceiptTooEarly):
        await _tell(platform, message.wire_id, "read", **theirs)
    with pytest.raises(ReceiptTooEarly):
        await _tell(platform, message.wire_id, "read", instanceId="support")

    incoming = {
        "organizationId": str(platform.organization.id),
        "instanceId": "sales",
        "from": "5511999990001",
        "content": "Oi",
        "messageId": "in-1",
        "sentAt": NOW_MS,
    }
    await platform.handle(QueueName.MESSAGE, "incoming", incoming)
    with pytest.raises(ReceiptTooEarly):
        await _tell(platform, "in-1", "read")
    assert (await platform.message(message.id)).status == "queued"
