"""The message flow, played through as an operator's test: each step is told as it is seen."""

import time
from collections.abc import AsyncIterator

from berrante.app.smoke.checking import WITHIN_S, eventually, expect
from berrante.app.smoke.stage import Stage
from berrante.messaging.messages import Message, MessageStatus

_SEEN = frozenset({MessageStatus.DELIVERED, MessageStatus.READ})


async def message_flow(stage: Stage) -> AsyncIterator[str]:
    """Play: a contact writes, the message is stored once, and a person's reply is delivered."""
    application, contact = stage.application, stage.contact(1)
    stage.write(contact, "Is anybody there?")
    yield f"{contact} wrote to {stage.instance.id!r}"
    first = await _one(stage, "in", "the stored message")
    expect(first.content.get("text") == "Is anybody there?", f"what was stored is {first.content}")
    yield f"the message is stored as {first.id}"
    # The very same delivery once more, and another message behind it: once that is there, the first was handled.
    event = application.simulator.write(
        organization_id=stage.organization_id, instance_id=stage.instance.id, sender=contact, text="Hello?"
    )
    await application.intake([event])
    await eventually(lambda: _messages(stage, "in", at_least=2), what="the second message")
    incoming = await _messages(stage, "in", at_least=0)
    expect(len(incoming) == 2, f"{len(incoming)} messages are stored, not 2: a delivery that came twice counted twice")
    yield "a message that was delivered twice is stored once"
    message_id = await application.outbound.send(
        organization_id=stage.organization_id, instance_id=stage.instance.id, to=contact, text="Yes, we are."
    )
    yield f"a reply is stored and queued as {message_id}"
    reply = await eventually(lambda: _delivered(stage), what="the receipt of the reply")
    _saw_once(stage, contact, "Yes, we are.")
    yield f"the contact saw it once; its status is {reply[0].status.value!r}"


async def automation_flow(stage: Stage, *, delay_ms: int) -> AsyncIterator[str]:
    """Play: a contact's message starts an automation, whose reply is due after the delay and delivered once."""
    application, contact = stage.application, stage.contact(1)
    await application.automations.create(
        organization_id=stage.organization_id,
        name="Smoke test",
        trigger="keyword",
        keywords=["hours"],
        reply="We are open from 9 to 18.",
        instance_id=stage.instance.id,
        delay_ms=delay_ms,
    )
    yield f"an automation answers the word 'hours' after {delay_ms} ms"
    stage.write(contact, "What are your hours?")
    stage.write(stage.contact(2), "Good morning")
    first = await _one(stage, "in", "the stored message", address=contact)
    yield f"the message is stored as {first.id}"
    (reply,) = await eventually(
        lambda: _delivered(stage), what="the automation's reply", within_s=WITHIN_S + delay_ms / 1_000
    )
    _saw_once(stage, contact, "We are open from 9 to 18.")
    seen_ms = application.simulator.ledger[stage.instance.id, contact][0].at_ms
    waited_ms = seen_ms - round(first.created_at.timestamp() * 1_000)
    expect(waited_ms >= delay_ms - 1, f"the reply came {waited_ms} ms after the message, not {delay_ms}")
    yield f"the reply came after {waited_ms} ms; the contact saw it once; its status is {reply.status.value!r}"
    expect(not application.simulator.ledger[stage.instance.id, stage.contact(2)], "the other contact was answered too")
    yield "the contact who did not write the word got no answer"


async def campaign_flow(stage: Stage, *, recipients: int, rate: int) -> AsyncIterator[str]:
    """Play: a campaign writes to every recipient once, no faster than its rate a second."""
    application = stage.application
    addresses = [stage.contact(number) for number in range(1, recipients + 1)]
    campaign = await application.campaigns.create(
        organization_id=stage.organization_id,
        instance_id=stage.instance.id,
        name="Smoke test",
        body="Our new menu is here.",
        recipients=addresses,
        pace={"jitter": 0},
    )
    yield f"a campaign to {recipients} recipients, {rate} messages a second at most"
    started = time.monotonic()
    await application.campaigns.start(stage.organization_id, campaign.id)

    async def finished() -> bool:
        current = await application.campaigns.get(stage.organization_id, campaign.id)
        return current is not None and current.status == "finished"

    await eventually(finished, what="the end of the campaign", within_s=WITHIN_S + 2 * recipients / rate)
    took_s = time.monotonic() - started
    for address in addresses:
        _saw_once(stage, address, "Our new menu is here.")
    yield f"each of the {recipients} contacts saw it once"
    # A window of one second opens with its first message: the first `rate` of them may start at once.
    least_s = (recipients - 1) // rate * 1.0
    expect(took_s >= least_s - 0.05, f"all were written to within {took_s:.1f} s: the rate did not hold")
    yield f"it took {took_s:.1f} s, at the least {least_s:g} s at that rate"
    progress = await application.campaigns.progress(stage.organization_id, campaign.id)
    expect(progress.total == progress.planned, f"{progress.planned} are planned and {progress.total} accounted for")
    expect(not progress.failed and not progress.in_doubt, f"{progress.failed} failed, {progress.in_doubt} in doubt")
    yield f"planned {progress.planned} = sent {progress.sent + progress.delivered + progress.read}, nothing open"


async def _messages(stage: Stage, direction: str, *, at_least: int, address: str | None = None) -> list[Message]:
    found = await stage.application.messages.list(stage.organization_id, 200)
    wanted = [each for each in found if each.direction == direction and address in {None, each.address}]
    return wanted if len(wanted) >= at_least else []


async def _one(stage: Stage, direction: str, what: str, *, address: str | None = None) -> Message:
    found = await eventually(lambda: _messages(stage, direction, at_least=1, address=address), what=what)
    return found[0]


async def _delivered(stage: Stage) -> list[Message]:
    sent = await _messages(stage, "out", at_least=1)
    return [message for message in sent if message.status in _SEEN]


def _saw_once(stage: Stage, contact: str, body: str) -> None:
    seen = stage.application.simulator.ledger[stage.instance.id, contact]
    expect([each.body for each in seen] == [body], f"{contact} saw {len(seen)} messages, not the one")
