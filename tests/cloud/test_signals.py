"""What sending finds out takes effect beyond the message: on its number's lane, on its contact."""

from dataclasses import dataclass, field
from functools import partial

import pytest

from berrante.app.signals import Signals
from berrante.engine import GroupRate
from berrante.messaging.contacts import Contacts
from berrante.messaging.handlers import batch_handlers
from berrante.messaging.instances import Instances
from berrante.messaging.instances.settings import InstanceSettings
from berrante.messaging.outbound.pacing import Pacing, limits_of
from berrante.messaging.outbound.policy.holding import Hold
from berrante.messaging.outbound.rates import slowed_rates
from berrante.messaging.outbound.signals import Held, RateChanged
from berrante.messaging.outbound.waking import Waker
from berrante.messaging.queues import QueueName
from tests.cloud.rules import set_number
from tests.messaging.platform import NOW_MS, Platform, alone


@dataclass
class Wired:
    """A platform whose signals are heard as in the service."""

    platform: Platform
    delayed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pacing = Pacing(
            outbound=self.platform.queues.outbound,
            delayed=lambda instance_id, _: self.delayed.append(instance_id),
            slowed=partial(slowed_rates, self.platform.database),
        )
        self.instances = Instances(self.platform.database, on_settings=self.pacing.apply)
        waker = Waker(self.platform.database, self.platform.queues.outbound)
        self.signals = Signals(self.instances, self.pacing, waker)

    async def rate(self, per_s: float | None) -> None:
        at = None if per_s is None else self.platform.instance.created_at
        await set_number(self.platform.database, rate_per_s=per_s, rate_changed_at=at)
        signal = RateChanged(organization_id=self.platform.organization.id, instance_id="shop", per_s=per_s)
        await self.signals(signal)

    async def gap_ms(self) -> float | None:
        limits = await self.platform.queues.outbound.groups.get("shop")
        return None if limits is None or limits.rate is None else limits.rate.gap_ms


@pytest.fixture
def wired(platform: Platform) -> Wired:
    return Wired(platform)


async def test_a_number_that_goes_too_fast_is_slowed_until_it_recovers(wired: Wired) -> None:
    organization_id = wired.platform.organization.id
    await wired.rate(40.0)
    assert await wired.gap_ms() == 25.0
    # Neither the reconciler nor new settings give back what WhatsApp took.
    assert await wired.pacing.reconcile(await wired.instances.list_all()) == 0
    await wired.instances.update(organization_id, "shop", settings={"pace": {"rate": {"max": 60}}})
    assert await wired.gap_ms() == 25.0
    # A number that is slower by itself stays so.
    await wired.instances.update(organization_id, "shop", settings={"pace": {"rate": {"max": 10}}})
    assert await wired.gap_ms() == 100.0
    await wired.rate(2.5)
    assert await wired.gap_ms() == 400.0
    await wired.rate(None)
    assert await wired.gap_ms() == 100.0
    await wired.instances.update(organization_id, "shop", settings={"pace": None})
    assert await wired.gap_ms() is None


async def test_a_rate_that_nobody_was_told_of_is_taken_up_by_the_reconciler(wired: Wired) -> None:
    await set_number(wired.platform.database, rate_per_s=5.0, rate_changed_at=wired.platform.instance.created_at)
    assert await wired.pacing.reconcile(await wired.instances.list_all()) == 1
    assert await wired.gap_ms() == 200.0


def test_the_workers_own_rate_holds_where_it_is_slower() -> None:
    default = GroupRate(max=10)
    assert limits_of(InstanceSettings(), slowed_to=40.0, default=default) is None
    slower = limits_of(InstanceSettings(), slowed_to=4.0, default=default)
    assert slower is not None
    assert slower.rate is not None
    assert slower.rate.gap_ms == 250.0


async def test_who_wants_no_marketing_is_marked_until_it_resumes(wired: Wired) -> None:
    platform = wired.platform
    contact_id = (await platform.message(await platform.queued_message())).contact_id
    contacts = Contacts(platform.database, platform.queues, platform.clock)
    of_batches = batch_handlers(
        database=platform.database,
        queues=platform.queues,
        gateways={"cloud": platform.gateway},
        clock=platform.clock,
        listener=wired.signals,
    )
    handler = alone(of_batches[QueueName.MESSAGE])
    said = {"wa_id": "5511999990001", "category": "marketing_messages"}
    data = {
        "organizationId": str(platform.organization.id),
        "instanceId": "shop",
        "kind": "user_preferences",
        "subject": "marketing:5511999990001",
        "at": NOW_MS,
        "details": said | {"value": "stop"},
        "accountId": "9000",
    }
    for _ in range(2):
        await platform.handle(QueueName.MESSAGE, "update", data, handler=handler)
    marked = await contacts.get(platform.organization.id, contact_id)
    assert marked is not None
    assert marked.suppressed_at is not None
    assert marked.suppression_reason == "the contact stopped marketing messages in WhatsApp"

    again = data | {"at": NOW_MS + 1, "details": said | {"value": "resume"}}
    await platform.handle(QueueName.MESSAGE, "update", again, handler=handler)
    cleared = await contacts.get(platform.organization.id, contact_id)
    assert cleared is not None
    assert (cleared.suppressed_at, cleared.suppression_reason) == (None, None)
    assert await platform.count("number_updates") == 1

    await contacts.erase(platform.organization.id, contact_id)
    assert await platform.count("number_updates") == 0


async def test_a_hold_changes_no_pace(wired: Wired) -> None:
    await wired.rate(40.0)
    hold = Hold(what="number", code="131031", reason="locked", campaigns_only=False, until_ms=NOW_MS)
    await wired.signals(Held(organization_id=wired.platform.organization.id, instance_id="shop", hold=hold))
    assert await wired.gap_ms() == 25.0
