"""A group of dead letters says when its number sends again, or its template is approved again."""

import pytest

from berrante.messaging.dead_letters import Cause, Group, Healing
from berrante.messaging.messages import MessageStatus
from berrante.messaging.queues import QueueName
from tests.messaging.platform import Platform

BEFORE_MS = 1_700_000_000_000


def group(*, number: str | None, last_at_ms: int = BEFORE_MS) -> Group:
    cause = Cause(queue="outbound", code="131048", scope="number" if number else "message", number=number)
    return Group(
        cause=cause,
        count=3,
        first_at_ms=last_at_ms,
        last_at_ms=last_at_ms,
        sample_id="1",
        sample_reason="limited",
        remedy="Restore the number.",
    )


@pytest.mark.parametrize("whose", ["operator", "organization"])
async def test_a_group_whose_number_has_sent_since_says_that_it_healed(platform: Platform, whose: str) -> None:
    organization_id = platform.organization.id if whose == "organization" else None
    healing = Healing(platform.database, platform.clock)
    blamed, unblamed, unknown = group(number="sales"), group(number=None), group(number="gone")
    await platform.queued_message()
    await healing.mark([blamed, unblamed, unknown], organization_id=organization_id)
    assert [each.healed_at_ms for each in (blamed, unblamed, unknown)] == [None] * 3
    assert blamed.remedy == "Restore the number."

    message_id = await platform.outbound().send(
        organization_id=platform.organization.id, instance_id="sales", to="+5511999990002", text="Hello"
    )
    platform.work(QueueName.OUTBOUND)
    sent = (await platform.until_status(message_id, MessageStatus.SENT)).sent_at
    assert sent is not None
    since = round(sent.timestamp() * 1_000)
    later = group(number="sales", last_at_ms=since + 1)
    await healing.mark([blamed, unblamed, unknown, later], organization_id=organization_id)
    assert [each.healed_at_ms for each in (blamed, unblamed, unknown, later)] == [since, None, None, None]
    assert blamed.remedy == "The number has sent again since: retry."
    assert later.remedy == "Restore the number."
