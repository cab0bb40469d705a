"""Imports: each row once, wherever the work was cut off; nobody who left is brought back."""

import asyncio
import io
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert, select, update

from berrante.engine import Unrecoverable
from berrante.messaging.contact_imports import ContactImport, ContactImports, working
from berrante.messaging.contact_imports.jobs import import_job
from berrante.messaging.contact_imports.rows import Rejected
from berrante.messaging.contact_imports.working import ImportWork
from berrante.messaging.contacts import Consent, Contact, Contacts, Evidence, Search
from berrante.messaging.contacts.exporting import exported
from berrante.messaging.errors import Invalid, Missing
from berrante.messaging.instances import Instances
from berrante.messaging.organizations import Organizations
from berrante.messaging.queues import QueueName
from berrante.messaging.tables import contact_import_chunks, contact_imports, quotas
from tests.messaging.platform import Platform
from tests.waiting import until

_AT = datetime(2026, 1, 31, tzinfo=UTC)


def _work(platform: Platform) -> ImportWork:
    return ImportWork(database=platform.database, queues=platform.queues, clock=platform.clock)


async def _begun(platform: Platform, text: str | bytes, **more: str) -> ContactImport:
    data = text.encode() if isinstance(text, str) else text
    return await ContactImports(platform.database).begin(
        io.BytesIO(data), organization_id=platform.organization.id, instance_id="sales", **more
    )


async def _imported(platform: Platform, text: str | bytes, **more: str) -> ContactImport:
    begun = await _begun(platform, text, **more)
    return await _work(platform).run(platform.organization.id, begun.id)


async def _rejected(platform: Platform, done: ContactImport) -> list[Rejected]:
    pages = [page async for page in ContactImports(platform.database).rejected(platform.organization.id, done.id)]
    return [each for page in pages for each in page]


async def _contacts(platform: Platform) -> dict[str, Contact]:
    found = await Contacts(platform.database, platform.queues).search(platform.organization.id, Search(limit=500))
    return {contact.address: contact for contact in found}


def _counts(done: ContactImport) -> tuple[str, int, int, int]:
    return done.status, done.created, done.updated, done.rejected


async def test_a_file_becomes_contacts_and_each_bad_row_a_reason(platform: Platform) -> None:
    done = await _imported(
        platform,
        "\ufeffTelefone;Nome;Etiquetas;Cidade;consent;consent_source\r\n"
        "(11) 98765-4321;Ana;vip,b;Recife;opted_in;site\r\n"
        "\r\n"
        "12;Bento;;;;\r\n"
        "+55 85 8765-4321;;;;opted_out;\r\n"
        "+5511987654321;Ana Souza;c;;;\r\n",
        country="BR",
        filename="a\x07" + "b" * 300 + ".csv",
        by="key 1",
    )
    assert _counts(done) == ("done", 2, 1, 1)
    assert (done.bytes_done, done.finished_at is not None) == (done.bytes_total, True)
    (problem,) = await _rejected(platform, done)
    assert (problem.line, problem.column) == (4, "Telefone")
    found = await _contacts(platform)
    ana, other = found["+5511987654321"], found["+5585987654321"]
    assert (ana.name, ana.tags, ana.fields) == ("Ana Souza", ["b", "c", "vip"], {"cidade": "Recife"})
    assert (ana.consent, other.consent) == (Consent.OPTED_IN, Consent.OPTED_OUT)
    (log,) = await Contacts(platform.database, platform.queues).consents(platform.organization.id, ana.id)
    assert (log.state, log.source, log.by) == ("opted_in", "site", "key 1")
    assert await platform.count("opt_outs") == 1
    assert await platform.count("contact_import_chunks") == 0


async def test_the_same_file_again_is_the_import_that_was(platform: Platform) -> None:
    begun = await asyncio.gather(*(_begun(platform, "phone\n+5511987654321\n") for _ in range(3)))
    assert len({each.id for each in begun}) == 1
    done = await _work(platform).run(platform.organization.id, begun[0].id)
    again = await _imported(platform, "phone\n+5511987654321\n")
    assert again == done
    assert await platform.count("contact_imports") == 1


def _large(number: int) -> str:
    rows = [f"+55119{10_000_000 + index},Ana {index},opted_in,site" for index in range(number)]
    return "\n".join(["phone,name,consent,consent_source", *rows, "12,bad,,"])


async def test_killed_in_the_middle_and_started_again_nothing_is_doubled(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "_BATCH", 100)
    begun = await _begun(platform, _large(1_000))
    ours = platform.organization.id
    for _ in range(8):  # cut off anywhere: within a statement, between two, before the commit
        for cut_ms in (1, 3, 10, 30):
            running = asyncio.create_task(_work(platform).run(ours, begun.id))
            await asyncio.wait({running}, timeout=cut_ms / 1_000)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    done = await _work(platform).run(ours, begun.id)
    assert _counts(done) == ("done", 1_000, 0, 1)
    for table, number in (("contacts", 1_000), ("consents", 1_000), ("contact_import_errors", 1)):
        assert await platform.count(table) == number


async def test_two_at_once_on_one_import_do_each_batch_once(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "_BATCH", 50)
    begun = await _begun(platform, _large(400))
    await asyncio.gather(*(_work(platform).run(platform.organization.id, begun.id) for _ in range(3)))
    done = await ContactImports(platform.database).get(platform.organization.id, begun.id)
    assert done is not None
    assert _counts(done) == ("done", 400, 0, 1)
    assert await platform.count("consents") == 400


async def test_the_job_works_in_turns_and_a_lost_one_is_found(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "_BATCH", 20)  # more batches than one run of the job does
    begun = await _begun(platform, _large(400))
    assert (await platform.handle(QueueName.MAINTENANCE, "reconcile", {}))["imports"] == 0  # type: ignore[index]
    platform.ahead_ms = 120_000
    assert (await platform.handle(QueueName.MAINTENANCE, "reconcile", {}))["imports"] == 1  # type: ignore[index]
    platform.ahead_ms = 0
    platform.work(QueueName.MAINTENANCE)
    job = await platform.finished(QueueName.MAINTENANCE, f"import-{begun.id}")
    assert job.return_value == {"status": "done", "created": 400, "updated": 0, "rejected": 1}


async def test_an_import_whose_job_failed_for_good_has_failed(platform: Platform) -> None:
    begun = await _begun(platform, "phone\n+5511987654321\n")
    place = {"organization_id": platform.organization.id, "instance_id": "sales", "import_id": begun.id}
    job = import_job(platform.queues.maintenance, **place)
    async with platform.database.begin() as connection:  # a row that cannot be worked on
        await connection.execute(update(contact_imports).values(layout={"delimiter": ","}))
    platform.work(QueueName.MAINTENANCE)
    assert job.options is not None
    once = job.options.__class__(job_id=job.options.job_id, attempts=1)
    await platform.queues.maintenance.add(job.name, job.data, once)
    await platform.finished(QueueName.MAINTENANCE, f"import-{begun.id}")
    platform.ahead_ms = 120_000
    assert await _work(platform).restore() == 0
    failed = await ContactImports(platform.database).get(platform.organization.id, begun.id)
    assert failed is not None
    assert (failed.status, failed.is_finished) == ("failed", True)
    assert "dead letters" in str(failed.reason)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("name\nAna\n", "line 1: no column is called 'phone'"),
        ('phone,name\n+5511987654321,Ana\n+5511987654322,"x', "line 3: begins a quoted cell that never ends"),
        ("phone\n+5511987654321\n".encode("utf-16"), "is UTF-16"),
        (b"phone,pre\xe7o\n", "is not UTF-8"),
    ],
)
async def test_a_file_that_cannot_be_read_fails_with_the_line(
    platform: Platform, data: str | bytes, reason: str
) -> None:
    done = await _imported(platform, data)
    assert done.status == "failed"
    assert reason in str(done.reason)
    async with platform.database.begin() as connection:
        assert (await connection.execute(select(contact_import_chunks))).all() == []


async def test_rows_beyond_the_most_fail_the_rest(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "_BATCH", 2)
    monkeypatch.setattr(working, "MAX_ROWS", 3)
    done = await _imported(platform, _large(5))
    assert (done.status, done.created) == ("failed", 2)
    assert "beyond 3 rows" in str(done.reason)


async def test_a_list_brings_nobody_back_who_was_erased_or_opted_out(platform: Platform) -> None:
    service, ours = Contacts(platform.database, platform.queues), platform.organization.id
    erased, out = [
        await service.create(organization_id=ours, instance_id="sales", address=f"+551198765432{n}") for n in (1, 2)
    ]
    await service.erase(ours, erased.id)
    await service.opt_out(ours, out.id, Evidence(source="message", at=_AT))
    done = await _imported(
        platform,
        "phone,name,consent,consent_source\n"
        "+5511987654321,Ana,,\n"
        "+5511987654322,Bento,opted_in,list\n"
        "+5511987654322,Bento,,\n",
    )
    assert _counts(done) == ("done", 0, 1, 2)
    assert [(each.line, each.column) for each in await _rejected(platform, done)] == [(2, "phone"), (3, "consent")]
    found = await _contacts(platform)
    assert set(found) == {"+5511987654322"}
    assert (found["+5511987654322"].name, found["+5511987654322"].consent) == ("Bento", Consent.OPTED_OUT)


async def test_what_a_list_says_holds_at_every_number_and_what_was_said_later_stays(platform: Platform) -> None:
    service, ours = Contacts(platform.database, platform.queues), platform.organization.id
    await Instances(platform.database).create(organization_id=ours, id="support")
    other = await service.create(organization_id=ours, instance_id="support", address="+5511987654321")
    for number, instance_id in ((2, "sales"), (3, "support")):
        later = await service.create(organization_id=ours, instance_id=instance_id, address=f"+551198765432{number}")
        await service.opt_in(ours, later.id, Evidence(source="site", at=_AT))
    await _imported(
        platform,
        "phone,consent,consent_at\n+5511987654321,opted_out,2026-01-01\n"
        "+5511987654322,opted_out,2025-01-01\n+5511987654323,opted_out,2025-01-01\n",
    )
    found = await service.get(ours, other.id)
    assert found is not None
    assert found.consent is Consent.OPTED_OUT
    assert [each.source for each in await service.consents(ours, other.id)] == ["import"]
    everyone = await service.search(ours, Search(text="+551198765432"))
    assert sorted((each.address[-1], each.instance_id, each.consent.value) for each in everyone) == [
        ("1", "sales", "opted_out"),
        ("1", "support", "opted_out"),
        ("2", "sales", "opted_in"),
        ("3", "sales", "opted_in"),
        ("3", "support", "opted_in"),
    ]


async def test_a_contact_that_would_hold_too_much_is_refused_and_left(platform: Platform) -> None:
    ours = platform.organization.id
    await Contacts(platform.database, platform.queues).create(
        organization_id=ours,
        instance_id="sales",
        address="+5511987654321",
        fields={f"f{n}": n for n in range(49)},
        tags=["a"],
    )
    done = await _imported(platform, "phone,x,y\n+5511987654321,1,2\n")
    assert _counts(done) == ("done", 0, 0, 1)
    assert "at most 50" in (await _rejected(platform, done))[0].reason


@pytest.mark.parametrize(
    ("fields", "tags", "cells", "counts"),
    [
        ({}, [f"t{n}" for n in range(48)], "a;b,", (1, 0)),
        ({}, [f"t{n}" for n in range(49)], "a;b,", (0, 1)),
        ({}, [f"t{n}" for n in range(50)], "t1;t2,", (1, 0)),
        ({f"f{n}": "é" * 780 for n in range(10)}, [], f",{'x' * 300}", (1, 0)),
        ({f"f{n}": "é" * 780 for n in range(10)}, [], f",{'x' * 900}", (0, 1)),
    ],
    ids=["48 tags and 2", "49 tags and 2", "50 tags and 2 of them", "room for a field", "no room for a field"],
)
async def test_what_has_no_room_is_told_from_what_just_has(
    platform: Platform, fields: dict[str, str], tags: list[str], cells: str, counts: tuple[int, int]
) -> None:
    await Contacts(platform.database, platform.queues).create(
        organization_id=platform.organization.id,
        instance_id="sales",
        address="+5511987654321",
        fields=fields,
        tags=tags,
    )
    done = await _imported(platform, f"phone,tags,note\n+5511987654321,{cells}\n")
    assert (done.updated, done.rejected) == counts


async def test_a_row_that_says_nothing_new_leaves_its_contact_alone(platform: Platform) -> None:
    header = "phone,name,language,tags,consent,consent_source,consent_at,city"
    row = "+5511987654321,Ana,pt-BR,vip,opted_in,site,2026-01-31,Recife"

    async def version(line: str) -> object:
        done = await _imported(platform, f"{header}\n{line}\n")
        assert (done.created + done.updated, done.rejected) == (1, 0)
        async with platform.database.begin() as connection:
            return (await connection.exec_driver_sql("SELECT xmin::text FROM contacts")).scalar_one()

    first = await version(row)
    for same in (row + ",", "+5511987654321,,,,,,,", row.replace("vip", "vip;vip")):
        assert await version(same) == first, same
    for old, new in (("Ana", "Bia"), ("pt-BR", "es"), ("vip", "new"), ("Recife", "Olinda"), ("opted_in", "opted_out")):
        changed = await version(row.replace(old, new))
        assert changed != first, new
        first = changed


async def test_a_name_from_a_profile_that_a_file_confirms_is_the_organizations_own(platform: Platform) -> None:
    await platform.handle(
        QueueName.MESSAGE,
        "incoming",
        {
            "organizationId": str(platform.organization.id),
            "instanceId": "sales",
            "from": "+5511987654321",
            "content": "Oi",
            "messageId": "m1",
            "sentAt": platform.clock(),
            "fromName": "Ana",
        },
    )
    await _imported(platform, "phone,name\n+5511987654321,Ana\n")
    async with platform.database.begin() as connection:
        assert (await connection.exec_driver_sql("SELECT name_given FROM contacts")).scalar_one() is True


async def test_an_export_is_read_back_as_it_was(platform: Platform) -> None:
    service, ours = Contacts(platform.database, platform.queues), platform.organization.id
    await service.create(
        organization_id=ours,
        instance_id="sales",
        address="+5511987654321",
        name='=HYPERLINK("x")',
        tags=["b", "a"],
        fields={"city": "-1+1", "note": 'two\nlines, "quoted"'},
    )
    before = await _contacts(platform)
    text = "".join([part async for part in exported(platform.database, ours, Search())])
    assert '"\'=HYPERLINK(""x"")"' in text
    done = await _imported(platform, text)
    assert _counts(done) == ("done", 0, 1, 0)
    after = await _contacts(platform)
    for name in ("name", "tags", "fields", "consent"):
        assert getattr(after["+5511987654321"], name) == getattr(before["+5511987654321"], name)


async def test_an_export_holds_every_contact_once_over_many_pages(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("berrante.messaging.contacts.exporting._PAGE", 7)
    await _imported(platform, _large(20))
    other = await Organizations(platform.database).create("Other")
    text = "".join([part async for part in exported(platform.database, platform.organization.id, Search())])
    assert len(set(text.splitlines())) == 21
    assert len("".join([p async for p in exported(platform.database, other.id, Search())]).splitlines()) == 1


async def test_what_cannot_be_begun_is_refused(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    other = await Organizations(platform.database).create("Other")
    service = ContactImports(platform.database)
    for organization_id, instance_id in ((other.id, "sales"), (platform.organization.id, "a:b")):
        with pytest.raises(Missing):
            await service.begin(io.BytesIO(b"x"), organization_id=organization_id, instance_id=instance_id)
    with pytest.raises(Invalid, match="is empty"):
        await _begun(platform, "")
    with pytest.raises(Invalid, match="two letters"):
        await _begun(platform, "phone\n", country="Brazil")
    monkeypatch.setattr("berrante.messaging.contact_imports.service.MAX_BYTES", 10)
    with pytest.raises(Invalid, match="more than 10 bytes"):
        await _begun(platform, "phone\n+5511987654321")
    assert await platform.count("contact_imports") == 0


async def test_another_organizations_import_is_out_of_reach(platform: Platform) -> None:
    begun = await _begun(platform, "phone\n12\n")
    other = (await Organizations(platform.database).create("Other")).id
    service = ContactImports(platform.database)
    with pytest.raises(Unrecoverable):
        await _work(platform).advance(other, begun.id)
    await _work(platform).run(platform.organization.id, begun.id)
    assert await service.get(other, begun.id) is None
    assert await service.list(other) == []
    assert [page async for page in service.rejected(other, begun.id)] == []
    assert [each.id for each in await service.list(platform.organization.id)] == [begun.id]
    assert await service.list(platform.organization.id, before=begun.id) == []


async def test_a_quota_ends_an_import_and_leaves_what_came_before(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "_BATCH", 2)
    async with platform.database.begin() as connection:
        await connection.execute(insert(quotas).values(organization_id=platform.organization.id, contacts=5))
    done = await _imported(platform, _large(8))
    assert (done.status, done.created) == ("failed", 4)
    assert "contacts" in str(done.reason)
    assert await platform.count("contacts") == 4
    assert await platform.count("consents") == 4


async def test_progress_is_told_after_each_batch(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "_BATCH", 2)
    begun = await _begun(platform, _large(4))
    told: list[int] = []
    await _work(platform).run(platform.organization.id, begun.id, told=lambda each: told.append(each.bytes_done))
    assert told == sorted(set(told))
    assert told[-1] == begun.bytes_total


async def test_a_job_for_an_import_is_added_once(platform: Platform) -> None:
    begun = await _begun(platform, "phone\n+5511987654321\n")
    place = {"organization_id": platform.organization.id, "instance_id": "sales", "import_id": begun.id}
    for _ in range(2):
        await platform.queues.maintenance.add_bulk([import_job(platform.queues.maintenance, **place)])
    platform.work(QueueName.MAINTENANCE)
    await platform.finished(QueueName.MAINTENANCE, f"import-{begun.id}")
    assert await until(lambda: platform.count("contacts")) == 1
