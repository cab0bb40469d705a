"""A group of dead letters says when WhatsApp approved its template again."""

from typing import Any

import pytest

from berrante.engine import NewJob
from berrante.messaging.dead_letters import Group, Healing, Selection, Triage
from berrante.messaging.organizations import Organizations
from berrante.messaging.queues import QueueName
from tests.messaging.platform import NOW_MS, Platform

FAILED_MS = NOW_MS
RESTORED = "WhatsApp approved the template again since: retry."


async def failed(platform: Platform, template: str) -> None:
    """A letter as a worker leaves it."""
    told = {
        "queue": "outbound",
        "jobId": f"send-{template}",
        "name": "send",
        "data": {"organizationId": str(platform.organization.id), "instanceId": "shop"},
        "opts": {},
        "failedReason": "the template is paused",
        "error": {"type": "SendError", "code": "132015", "scope": "template", "template": template},
        "failedAt": FAILED_MS,
    }
    await platform.queues.dead_letters.queue.add_bulk([NewJob("send", told)])


async def told(platform: Platform, event: str, *, after_ms: int, language: str = "pt_BR") -> None:
    """WhatsApp's webhook about the template ``news``, as the queue ``message`` gets it."""
    data = {
        "organizationId": str(platform.organization.id),
        "instanceId": "shop",
        "kind": "message_template_status_update",
        "subject": f"template:news/{language}",
        "at": FAILED_MS + after_ms,
        "details": {"event": event, "message_template_name": "news", "message_template_language": language},
        "accountId": "9000",
    }
    await platform.handle(QueueName.MESSAGE, "update", data)


async def groups(platform: Platform, whose: str = "operator") -> dict[str | None, Group]:
    organization_id = platform.organization.id if whose == "organization" else None
    found = (await Triage(platform.queues.dead_letters, platform.clock).groups(Selection())).largest_first()
    await Healing(platform.database, platform.clock).mark(found, organization_id=organization_id)
    return {group.cause.template: group for group in found}


@pytest.mark.parametrize("whose", ["operator", "organization"])
@pytest.mark.parametrize("stopped_by", ["PAUSED", "DISABLED", "REJECTED"])
async def test_a_group_whose_template_is_approved_again_says_so(
    platform: Platform, whose: str, stopped_by: str
) -> None:
    for template in ("news", "news/pt_BR", "other"):
        await failed(platform, template)
    await told(platform, stopped_by, after_ms=-1_000)
    before = await groups(platform, whose)
    assert {each.healed_at_ms for each in before.values()} == {None}
    assert "approved again in WhatsApp Manager" in before["news"].remedy
    await told(platform, "APPROVED", after_ms=5_000)
    after = await groups(platform, whose)
    healed: dict[Any, Any] = {template: group.healed_at_ms for template, group in after.items()}
    assert healed == {"news": FAILED_MS + 5_000, "news/pt_BR": FAILED_MS + 5_000, "other": None}
    assert [after[name].remedy for name in ("news", "news/pt_BR")] == [RESTORED] * 2
    assert after["other"].remedy == before["other"].remedy


async def test_an_approval_before_the_failure_heals_nothing(platform: Platform) -> None:
    await failed(platform, "news")
    await told(platform, "APPROVED", after_ms=-1)
    assert (await groups(platform))["news"].healed_at_ms is None


async def test_what_is_stopped_again_or_in_another_language_is_not_healed(platform: Platform) -> None:
    for template in ("news", "news/pt_BR"):
        await failed(platform, template)
    await told(platform, "APPROVED", after_ms=1_000)
    await told(platform, "PAUSED", after_ms=500, language="en")
    found = await groups(platform)
    # Which language failed is not known of the one; of the other it is.
    assert (found["news"].healed_at_ms, found["news/pt_BR"].healed_at_ms) == (None, FAILED_MS + 1_000)
    await told(platform, "PAUSED", after_ms=2_000)
    assert {group.healed_at_ms for group in (await groups(platform)).values()} == {None}


async def test_another_organizations_approval_heals_nothing_of_ours(platform: Platform) -> None:
    await failed(platform, "news")
    await told(platform, "APPROVED", after_ms=1_000)
    stranger = (await Organizations(platform.database).create("Another")).id
    found = (await Triage(platform.queues.dead_letters, platform.clock).groups(Selection())).largest_first()
    await Healing(platform.database, platform.clock).mark(found, organization_id=stranger)
    assert [group.healed_at_ms for group in found] == [None]
