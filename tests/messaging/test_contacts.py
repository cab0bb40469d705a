"""Contacts: one person is one contact, whatever the spelling; what they agreed to outlives them."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from berrante.messaging.campaigns.models import campaign_entries
from berrante.messaging.contacts import Consent, Contact, Contacts, Evidence, Refusal, Search
from berrante.messaging.contacts.consent import Addressed, refusals
from berrante.messaging.contacts.models import contacts as table
from berrante.messaging.contacts.store import Writer, remember, remember_all
from berrante.messaging.errors import Invalid, Missing, Taken, WrongState
from berrante.messaging.instances import Instances
from berrante.messaging.messages import MessageStatus
from berrante.messaging.messages.origin import Origin
from berrante.messaging.organizations import Organizations
from berrante.messaging.queues import QueueName
from berrante.messaging.tables import campaign_recipients, messages, opt_outs
from tests.messaging.platform import Platform

_SAID = Evidence(source="shop counter", text="yes, write to me", at=datetime(2026, 1, 31, tzinfo=UTC), by="key 1")


def _service(platform: Platform) -> Contacts:
    return Contacts(platform.database, platform.queues, platform.clock)


async def _made(platform: Platform, address: str = "+5511987654321", **more: object) -> Contact:
    return await _service(platform).create(
        organization_id=platform.organization.id, instance_id=more.pop("instance_id", "sales"), address=address, **more
    )


async def _refusal(platform: Platform, contact_id: UUID, origin: Origin) -> Refusal | None:
    async with platform.database.begin() as connection:
        (found,) = await refusals(connection, [Addressed(platform.organization.id, contact_id, origin)])
        return found


async def test_a_contact_is_made_and_found(platform: Platform) -> None:
    made = await _made(
        platform, name=" Ana Souza ", language="pt_BR", fields={"city": "Recife", "age": 33}, tags=["VIP", "vip"]
    )
    assert made == await _service(platform).get(platform.organization.id, made.id)
    assert (made.name, made.language, made.fields, made.tags) == (
        "Ana Souza", "pt-BR", {"city": "Recife", "age": 33}, ["vip"],
    )  # fmt: skip
    assert made.consent is Consent.UNKNOWN


async def test_the_same_mobile_without_the_9_is_the_same_contact(platform: Platform) -> None:
    await _made(platform, "+55 85 98765-4321")
    with pytest.raises(Taken, match=r"\+5585987654321"):
        await _made(platform, "+55 85 8765-4321")


async def test_of_many_who_make_one_contact_at_once_one_succeeds(platform: Platform) -> None:
    made = await asyncio.gather(
        *(_made(platform, text) for text in ("+5585987654321", "558587654321") * 5), return_exceptions=True
    )
    assert sum(isinstance(each, Contact) for each in made) == 1
    assert sum(isinstance(each, Taken) for each in made) == 9
    assert await platform.count("contacts") == 1


async def test_who_writes_without_the_9_is_the_same_contact_and_is_answered_without_it(platform: Platform) -> None:
    made = await _made(platform, "+5585987654321")
    platform.work(QueueName.MESSAGE, QueueName.OUTBOUND)
    await platform.finished(QueueName.MESSAGE, await platform.incoming(**{"from": "558587654321@s.whatsapp.net"}))
    sent = await platform.outbound().send(
        organization_id=platform.organization.id, instance_id="sales", to="+5585987654321", text="Hello"
    )
    message = await platform.until_status(sent, MessageStatus.SENT)
    assert (message.contact_id, message.address) == (made.id, "+5585987654321")
    assert [each.to for each in platform.gateway.sent] == ["+558587654321"]


async def test_a_number_that_no_plan_knows_is_refused_unless_it_wrote(platform: Platform) -> None:
    outbound, ours = platform.outbound(), platform.organization.id
    with pytest.raises(Invalid, match="of no range in use"):
        await outbound.send(organization_id=ours, instance_id="sales", to="+5511187654321", text="Hello")
    platform.work(QueueName.MESSAGE)
    await platform.finished(QueueName.MESSAGE, await platform.incoming(**{"from": "5511187654321"}))
    sent = await outbound.send(organization_id=ours, instance_id="sales", to="+5511187654321", text="Hello")
    assert (await platform.message(sent)).address == "+5511187654321"


async def test_who_hides_the_number_is_a_contact_too(platform: Platform) -> None:
    platform.work(QueueName.MESSAGE)
    await platform.finished(QueueName.MESSAGE, await platform.incoming(**{"from": "123456789012@lid"}))
    (contact,) = await _service(platform).search(platform.organization.id, Search())
    assert (contact.address_kind, contact.address) == ("lid", "123456789012@lid")


async def test_a_profiles_name_does_not_replace_the_organizations(platform: Platform) -> None:
    made = await _made(platform)
    service, ours = _service(platform), platform.organization.id

    async def hears(name: str) -> str | None:
        async with platform.database.begin() as connection:
            now = datetime.now(UTC)
            writer = Writer(instance_id="sales", address=made.address, written=made.address, name=name, wrote_at=now)
            await remember_all(connection, ours, [writer], at=now)
        found = await service.get(ours, made.id)
        return found.name if found else None

    assert [await hears("Aninha"), await hears("Ana ❤")] == ["Aninha", "Ana ❤"]
    await service.update(ours, made.id, name="Ana Souza")
    assert await hears("Aninha") == "Ana Souza"


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"address": "+5511"}, "address"),
        ({"name": " "}, "name"),
        ({"language": "Portuguese!"}, "language"),
        ({"fields": {"Birth day": "x"}}, "fields.Birth day"),
        ({"fields": {"a": "x" * 1_001}}, "fields.a"),
        ({"fields": {"a": ["x"]}}, "fields.a"),
        ({"fields": {"a": float("inf")}}, "fields.a"),
        ({"fields": {"a": "\0"}}, "fields.a"),
        ({"fields": {f"f{n}": 1 for n in range(51)}}, "fields"),
        ({"fields": {f"f{n}": "x" * 900 for n in range(20)}}, "fields"),
        ({"tags": ["a,b"]}, "tags"),
        ({"tags": [""]}, "tags"),
        ({"tags": "vip"}, "tags"),
        ({"tags": [f"t{n}" for n in range(51)]}, "tags"),
    ],
)
async def test_what_a_contact_cannot_hold_is_refused_by_name(
    platform: Platform, more: dict[str, object], field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        await _made(platform, **more)
    assert caught.value.field == field
    assert await platform.count("contacts") == 0


async def test_fields_change_one_by_one_and_tags_are_added_and_taken(platform: Platform) -> None:
    made = await _made(platform, fields={"city": "Recife", "age": 33}, tags=["vip"])
    service, ours = _service(platform), platform.organization.id
    changed = await service.update(ours, made.id, fields={"age": None, "shoe": 40}, blocked=True)
    assert changed.fields == {"city": "Recife", "shoe": 40}
    assert changed.blocked_at is not None
    assert (await service.update(ours, made.id, blocked=False)).blocked_at is None
    await asyncio.gather(service.tag(ours, made.id, ["a"]), service.tag(ours, made.id, ["b"]))
    assert (await service.untag(ours, made.id, ["vip", "unknown"])).tags == ["a", "b"]


async def test_a_search_finds_by_word_number_tag_field_and_consent(platform: Platform) -> None:
    ana = await _made(platform, "+5511987654321", name="Ana Souza", tags=["vip"], fields={"age": 33, "city": "33"})
    joao = await _made(platform, "+5585987654321", name="João 100% da Silva", fields={"age": 34, "active": True})
    await _service(platform).opt_in(platform.organization.id, joao.id, _SAID)

    async def found(**search: object) -> list[UUID]:
        return [each.id for each in await _service(platform).search(platform.organization.id, Search(**search))]

    assert await found() == [joao.id, ana.id]
    assert await found(text="sou an") == [ana.id]
    assert await found(text="JOAO sil") == [joao.id]
    assert await found(text="uza") == []
    assert await found(text="+55 (85)") == [joao.id]
    assert await found(text="55") == [joao.id, ana.id]
    assert await found(text="100%") == [joao.id]
    assert await found(tags=("VIP",)) == [ana.id]
    assert await found(fields={"age": "33"}) == [ana.id]
    assert await found(fields={"city": "33"}) == [ana.id]
    assert await found(fields={"active": "true"}) == [joao.id]
    assert await found(fields={"age": "NaN"}) == []
    assert await found(consent=Consent.OPTED_IN) == [joao.id]
    assert await found(instance_id="other") == []
    assert await found(limit=1) == [joao.id]
    assert await found(limit=1, before=joao.id) == [ana.id]


async def test_consent_holds_at_every_number_of_the_organization_and_is_logged(platform: Platform) -> None:
    await Instances(platform.database).create(organization_id=platform.organization.id, id="support")
    service, ours = _service(platform), platform.organization.id
    first = await _made(platform)
    second = await _made(platform, instance_id="support")
    await service.opt_in(ours, first.id, _SAID)
    await service.opt_out(ours, second.id, Evidence(source="message", text="STOP", at=_SAID.at + timedelta(days=1)))

    for contact in (first, second):
        found = await service.get(ours, contact.id)
        assert found is not None
        assert (found.consent, found.consent_at) == (Consent.OPTED_OUT, _SAID.at + timedelta(days=1))
        assert [each.state for each in await service.consents(ours, contact.id)] == ["opted_out", "opted_in"]
    assert (await service.consents(ours, first.id))[1].text == "yes, write to me"


async def test_a_contact_to_come_has_the_consent_that_was_given_before(platform: Platform) -> None:
    await Instances(platform.database).create(organization_id=platform.organization.id, id="support")
    first = await _made(platform)
    await _service(platform).opt_out(platform.organization.id, first.id, _SAID)
    assert (await _made(platform, instance_id="support")).consent is Consent.OPTED_OUT


async def test_evidence_from_the_future_or_without_words_is_refused(platform: Platform) -> None:
    made = await _made(platform)
    for evidence, field in (
        (Evidence(source="", at=_SAID.at), "source"),
        (Evidence(source="x", at=datetime.now(UTC) + timedelta(days=1)), "at"),
        (Evidence(source="x", at=datetime(2026, 1, 1)), "at"),
        (Evidence(source="x", at=_SAID.at, text="x" * 2_001), "text"),
    ):
        with pytest.raises(Invalid) as caught:
            await _service(platform).opt_in(platform.organization.id, made.id, evidence)
        assert caught.value.field == field
    assert await platform.count("consents") == 0


async def test_campaigns_are_refused_to_who_opted_out_and_everything_to_who_is_blocked(platform: Platform) -> None:
    made = await _made(platform)
    service, ours = _service(platform), platform.organization.id
    assert await _refusal(platform, made.id, Origin.CAMPAIGN) is None
    await service.opt_out(ours, made.id, _SAID)
    assert await _refusal(platform, made.id, Origin.CAMPAIGN) is Refusal.OPTED_OUT
    assert await _refusal(platform, made.id, Origin.AUTOMATION) is None
    await service.opt_in(ours, made.id, _SAID)
    assert await _refusal(platform, made.id, Origin.CAMPAIGN) is None
    async with platform.database.begin() as connection:
        await connection.execute(table.update().values(suppressed_at=_SAID.at))
    assert await _refusal(platform, made.id, Origin.CAMPAIGN) is Refusal.SUPPRESSED
    assert await _refusal(platform, made.id, Origin.API) is None
    await service.update(ours, made.id, blocked=True)
    assert await _refusal(platform, made.id, Origin.API) is Refusal.BLOCKED
    assert await _refusal(platform, uuid4(), Origin.API) is Refusal.ERASED


async def test_who_is_erased_is_gone_with_all_that_was_said(platform: Platform) -> None:
    service, ours = _service(platform), platform.organization.id
    platform.work(QueueName.MESSAGE)
    await platform.finished(QueueName.MESSAGE, await platform.incoming("my secret", **{"from": "+5511987654321"}))
    await platform.stop()
    queued = await platform.queued_message("their secret", "+5511987654321")
    await platform.campaigns.create(
        organization_id=ours, instance_id="sales", name="c", body="hello", recipients=["+5511987654321"]
    )
    (contact,) = await service.search(ours, Search())
    await service.opt_in(ours, contact.id, _SAID)

    await service.erase(ours, contact.id)

    assert await service.get(ours, contact.id) is None
    assert await service.search(ours, Search()) == []
    assert (await platform.message(queued)).status is MessageStatus.SKIPPED
    assert await _refusal(platform, contact.id, Origin.API) is Refusal.ERASED
    async with platform.database.begin() as connection:
        for each in (table, messages, opt_outs, campaign_entries, campaign_recipients):
            shown = repr((await connection.execute(select(each))).all())
            assert "secret" not in shown
            assert "987654321" not in shown
    with pytest.raises(Missing):
        await service.erase(ours, contact.id)


async def test_who_was_erased_comes_back_only_by_a_new_opt_in_or_by_writing(platform: Platform) -> None:
    service, ours = _service(platform), platform.organization.id
    made = await _made(platform)
    await service.erase(ours, made.id)
    with pytest.raises(WrongState, match="erased since"):
        await _made(platform)
    async with platform.database.begin() as connection:
        contact_id = await remember(
            connection, organization_id=ours, instance_id="sales", address=made.address, at=datetime.now(UTC)
        )
    assert contact_id != made.id
    assert await _refusal(platform, contact_id, Origin.CAMPAIGN) is Refusal.OPTED_OUT

    await service.erase(ours, contact_id)
    again = await _made(platform, opt_in=_SAID)
    assert again.consent is Consent.OPTED_IN
    assert await platform.count("opt_outs") == 0


async def test_a_message_that_is_being_sent_while_its_contact_is_erased_is_in_doubt(platform: Platform) -> None:
    message_id = await platform.queued_message()
    gate = asyncio.Event()
    platform.gateway.answers.append(gate)
    sending = asyncio.create_task(platform.handle(QueueName.OUTBOUND, "send", platform.send_data(message_id)))
    await platform.gateway.entered.wait()
    contact_id = (await platform.message(message_id)).contact_id
    await _service(platform).erase(platform.organization.id, contact_id)
    assert (await platform.message(message_id)).status is MessageStatus.IN_DOUBT
    gate.set()
    await sending
    assert (await platform.message(message_id)).status is MessageStatus.SENT  # a fact, whatever else happened


async def test_another_organizations_contact_is_missing_for_every_call(platform: Platform) -> None:
    made = await _made(platform)
    other = (await Organizations(platform.database).create("Other")).id
    service = _service(platform)
    assert await service.get(other, made.id) is None
    assert await service.search(other, Search()) == []
    for call in (
        service.update(other, made.id, name="x"),
        service.tag(other, made.id, ["x"]),
        service.untag(other, made.id, ["x"]),
        service.opt_in(other, made.id, _SAID),
        service.opt_out(other, made.id, _SAID),
        service.consents(other, made.id),
        service.erase(other, made.id),
        service.create(organization_id=other, instance_id="sales", address="+5511987654321"),
    ):
        with pytest.raises(Missing):
            await call
    assert await service.get(platform.organization.id, made.id) == made


async def test_an_opt_out_is_the_organizations_own(platform: Platform) -> None:
    made = await _made(platform)
    await _service(platform).opt_out(platform.organization.id, made.id, _SAID)
    other = (await Organizations(platform.database).create("Other")).id
    await Instances(platform.database).create(organization_id=other, id="other")
    theirs = await _service(platform).create(organization_id=other, instance_id="other", address=made.address)
    assert theirs.consent is Consent.UNKNOWN
