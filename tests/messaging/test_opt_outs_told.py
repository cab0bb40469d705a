"""``contact.opted_out``: told once for each change, wherever it came from, and with it or not at all."""

import asyncio
import io
import json
from datetime import UTC, datetime
from typing import Any

from berrante.engine import State
from berrante.gateways.protocol import Action, Scope, SendError
from berrante.messaging.contact_imports import ContactImports
from berrante.messaging.contact_imports.working import ImportWork
from berrante.messaging.contacts import Contacts, Evidence, Search
from berrante.messaging.endpoints import Endpoint
from berrante.messaging.instances import Instances
from berrante.messaging.queues import QueueName
from tests.messaging.hooks import endpoint_at, log_of
from tests.messaging.platform import NOW_MS, Platform

ANA, BIA = "+5511999990001", "+5511999990002"
SAID = Evidence(source="phone call", text="no more", at=datetime(2026, 1, 31, tzinfo=UTC))


async def _endpoint(platform: Platform) -> Endpoint:
    return await endpoint_at(platform, "http://127.0.0.1:9/", "contact.*")


async def _told(platform: Platform, endpoint: Endpoint) -> list[dict[str, Any]]:
    log = await log_of(platform, endpoint)
    assert {each.event for each in log} <= {"contact.opted_out"}
    return [json.loads(each.body)["data"] for each in reversed(log)]


async def _write(platform: Platform, text: str, number: int, instance_id: str = "sales") -> None:
    data = {
        "organizationId": str(platform.organization.id),
        "instanceId": instance_id,
        "from": ANA,
        "content": text,
        "messageId": f"m{number}",
        "sentAt": NOW_MS + number,
    }
    await platform.handle(QueueName.MESSAGE, "incoming", data)


async def test_a_typed_word_is_told_once_until_the_person_opts_in_again(platform: Platform) -> None:
    endpoint, contacts = await _endpoint(platform), Contacts(platform.database, platform.queues, platform.clock)
    await Instances(platform.database).create(organization_id=platform.organization.id, id="support")
    for number, (text, where) in enumerate([("Oi", "support"), ("SAIR", "sales"), ("sair", "support")]):
        await _write(platform, text, number, where)
    (first,) = await _told(platform, endpoint)
    (ana,) = await contacts.search(platform.organization.id, Search(instance_id="sales"))
    assert first == {
        "contact_id": str(ana.id),
        "instance_id": "sales",
        "address": ANA,
        "source": "keyword",
        "text": "SAIR",
        "at": "2027-01-15T08:00:00.001000+00:00",
    }
    assert (await platform.queues.webhook.counts())[State.WAITING] == 1

    await contacts.opt_in(platform.organization.id, ana.id, SAID)
    await _write(platform, "parar", 4)
    assert [each["text"] for each in await _told(platform, endpoint)] == ["SAIR", "parar"]


async def test_of_many_at_once_who_record_it_one_is_told(platform: Platform) -> None:
    endpoint, contacts = await _endpoint(platform), Contacts(platform.database, platform.queues, platform.clock)
    ana = await contacts.create(organization_id=platform.organization.id, instance_id="sales", address=ANA)
    await asyncio.gather(*(contacts.opt_out(platform.organization.id, ana.id, SAID) for _ in range(4)))
    (told,) = await _told(platform, endpoint)
    assert (told["contact_id"], told["source"], told["text"]) == (str(ana.id), "phone call", "no more")
    assert (await platform.queues.webhook.counts())[State.WAITING] == 1


async def test_metas_131050_is_told_as_an_answer_and_in_a_receipt_and_no_whatsapp_is_no_opt_out(
    platform: Platform,
) -> None:
    endpoint = await _endpoint(platform)
    for code in ("131050", "131050", "not_on_whatsapp"):
        refusal = SendError("no", scope=Scope.RECIPIENT, action=Action.SUPPRESS, code=code)
        platform.gateway.answers.append(refusal)
        whom = "+5511999990003" if code == "not_on_whatsapp" else ANA
        message_id = await platform.queued_message(to=whom)
        await platform.handle(QueueName.OUTBOUND, "send", platform.send_data(message_id))
    bounced = await platform.queued_message(to=BIA)
    receipt = {
        "organizationId": str(platform.organization.id),
        "instanceId": "sales",
        "messageId": f"wire-{bounced.hex}",
        "status": "failed",
        "at": NOW_MS,
        "errorCode": 131050,
        "error": "User stopped marketing messages",
    }
    for _ in range(2):
        await platform.handle(QueueName.MESSAGE, "receipt", receipt)
    told = await _told(platform, endpoint)
    assert [(each["address"], each["source"], each["text"]) for each in told] == [
        (ANA, "whatsapp", None),
        (BIA, "whatsapp", None),
    ]


async def test_a_file_that_says_so_tells_it_of_each_new_one(platform: Platform) -> None:
    endpoint, contacts = await _endpoint(platform), Contacts(platform.database, platform.queues, platform.clock)
    ana = await contacts.create(organization_id=platform.organization.id, instance_id="sales", address=ANA)
    await contacts.opt_out(platform.organization.id, ana.id, SAID)
    file = f"phone,consent,consent_source\n{ANA},opted_out,old list\n{BIA},opted_out,old list\n+5511999990009,,\n"
    begun = await ContactImports(platform.database).begin(
        io.BytesIO(file.encode()), organization_id=platform.organization.id, instance_id="sales"
    )
    work = ImportWork(database=platform.database, queues=platform.queues, clock=platform.clock)
    await work.run(platform.organization.id, begun.id)
    told = await _told(platform, endpoint)
    assert [(each["address"], each["source"]) for each in told] == [(ANA, "phone call"), (BIA, "old list")]
    assert (await platform.queues.webhook.counts())[State.WAITING] == 2


async def test_who_is_erased_did_not_opt_out(platform: Platform) -> None:
    endpoint, contacts = await _endpoint(platform), Contacts(platform.database, platform.queues, platform.clock)
    ana = await contacts.create(organization_id=platform.organization.id, instance_id="sales", address=ANA)
    await contacts.erase(platform.organization.id, ana.id)
    assert await _told(platform, endpoint) == []
