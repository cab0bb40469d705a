"""Content in the database: whatever is stored is read back as it was."""

import json
from dataclasses import replace
from typing import Any

import pytest

from berrante.gateways.protocol import Content, ContentInvalid, MediaContent
from berrante.messaging.clock import moment
from berrante.messaging.files.keeping import record
from berrante.messaging.messages.content import outgoing, reply_to_of, stored
from berrante.messaging.queues import QueueName
from tests.gateways.every_content import EVERY_CONTENT
from tests.messaging.platform import Platform


@pytest.mark.parametrize("content", EVERY_CONTENT, ids=lambda content: content.type)
def test_what_is_stored_is_json_and_is_read_back_as_it_was(content: Content) -> None:
    kept = json.loads(json.dumps(stored(content, reply_to="wamid.1")))

    assert kept["type"] == content.type
    assert outgoing(kept) == content
    assert reply_to_of(kept) == "wamid.1"
    assert reply_to_of(stored(content)) is None


@pytest.mark.parametrize(
    "kept",
    [
        {},
        {"type": "order", "order": {}},
        {"type": "image"},
        {"type": "image", "image": {"id": 7}},
        {"type": "image", "image": {"id": "7", "link": "https://x.example/y"}},
        {"type": "text", "text": "", "erased": True},
        {"type": "location", "location": {"latitude": "north"}},
    ],
)
def test_what_cannot_be_sent_is_said_so(kept: dict[str, Any]) -> None:
    with pytest.raises(ContentInvalid):
        outgoing(kept)


@pytest.mark.parametrize("content", EVERY_CONTENT, ids=lambda content: content.type)
async def test_content_of_every_kind_reaches_the_gateway(platform: Platform, content: Content) -> None:
    if isinstance(content, MediaContent) and content.stored is not None:
        reference = f"{platform.organization.id}/{'0' * 64}.ogg"
        now = moment(platform.clock())
        async with platform.database.begin() as connection:
            await record(
                connection, organization_id=platform.organization.id, reference=reference, at=now, check_at=now
            )
        content = replace(content, stored=reference)
    platform.work(QueueName.OUTBOUND)
    message_id = await platform.outbound().send(
        organization_id=platform.organization.id,
        instance_id="sales",
        to="+5511999990001",
        content=content,
        reply_to="wamid.1",
    )
    await platform.finished(QueueName.OUTBOUND, f"send-{message_id}")

    (sent,) = platform.gateway.sent
    assert (sent.content, sent.reply_to) == (content, "wamid.1")


async def test_a_stored_message_that_cannot_be_sent_fails_and_says_why(platform: Platform) -> None:
    message_id = await platform.queued_message()
    async with platform.database.begin() as connection:
        await connection.exec_driver_sql("""UPDATE messages SET content = '{"type": "order", "order": {}}'""")

    answer = await platform.handle(QueueName.OUTBOUND, "send", platform.send_data(message_id))

    assert answer == {"status": "failed", "code": "content_invalid"}
    assert platform.gateway.sent == []
    assert "write it anew" in str((await platform.message(message_id)).failure_reason)
