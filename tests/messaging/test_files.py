"""Files go when nobody names them any more; the database, the folder and the bucket are real."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import delete, event, select, text, update

from berrante.gateways.media import (
    Bucket,
    FolderMediaStore,
    MediaMissing,
    MediaStore,
    MediaUnavailable,
    S3MediaStore,
    Stored,
)
from berrante.gateways.protocol import Component, MediaContent, MediaKind, Parameter, Place, TemplateContent
from berrante.messaging.campaigns import Campaigns
from berrante.messaging.contacts import Contacts
from berrante.messaging.errors import Invalid
from berrante.messaging.files.keeping import name_file
from berrante.messaging.files.registering import RegisteredMedia
from berrante.messaging.files.sweeping import FilesSwept, FileSweeper
from berrante.messaging.maintenance import KeptFor, RetentionKeeper
from berrante.messaging.messages.models import messages
from berrante.messaging.organizations.models import organizations
from berrante.messaging.queues import QueueName
from berrante.store import new_id
from tests.gateways.s3_server import s3_server
from tests.messaging.gateway import ScriptedGateway
from tests.messaging.platform import Platform
from tests.waiting import until

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MONTH = timedelta(days=30)
TO = "+5511999990001"


@pytest_asyncio.fixture
async def folder(tmp_path: Path) -> FolderMediaStore:
    return FolderMediaStore(tmp_path)


@pytest_asyncio.fixture(params=["folder", "s3"])
async def store(request: pytest.FixtureRequest, folder: FolderMediaStore) -> AsyncIterator[MediaStore]:
    if request.param == "folder":
        yield folder
        return
    with s3_server("files") as server:
        keys = {"access_key": server.access_key, "secret_key": server.secret_key}
        bucket = S3MediaStore(Bucket(name="files", endpoint=server.url, path_style=True, **keys))
        yield bucket
        await bucket.close()


def _registered(platform: Platform, store: MediaStore) -> RegisteredMedia:
    return RegisteredMedia(store, platform.database, clock=platform.clock, unnamed_for=MONTH)


async def _upload(platform: Platform, store: MediaStore, data: bytes = b"%PDF") -> str:
    media = _registered(platform, store)
    return (await media.put(platform.organization.id, data, mime_type="application/pdf")).reference


def _document(reference: str) -> MediaContent:
    return MediaContent(kind=MediaKind.DOCUMENT, stored=reference)


async def _send(platform: Platform, reference: str, to: str = TO) -> UUID:
    return await platform.queued_message(to=to, content=_document(reference))


async def _erase(platform: Platform, message_id: UUID) -> None:
    async with platform.database.begin() as connection:
        query = select(messages.c.contact_id).where(messages.c.id == message_id)
        contact_id = (await connection.execute(query)).scalar_one()
    await Contacts(platform.database, platform.queues, platform.clock).erase(platform.organization.id, contact_id)


async def _sweep(platform: Platform, store: MediaStore) -> FilesSwept:
    return await FileSweeper(database=platform.database, store=store, clock=platform.clock).sweep()


async def _retain(platform: Platform) -> object:
    kept = KeptFor(messages=MONTH)
    keeper = RetentionKeeper(database=platform.database, queues=platform.queues, clock=platform.clock, kept_for=kept)
    removed = await keeper.sweep()
    return removed.messages, removed.emptied


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@contextmanager
def _statements(platform: Platform) -> Iterator[list[str]]:
    """Record what is asked of the database."""
    asked: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        asked.append(statement)

    event.listen(platform.database.engine.sync_engine, "before_cursor_execute", note)
    yield asked
    event.remove(platform.database.engine.sync_engine, "before_cursor_execute", note)


async def test_a_file_goes_with_the_last_person_that_it_was_sent_to(platform: Platform, store: MediaStore) -> None:
    reference, other = await _upload(platform, store), await _upload(platform, store, b"other")
    first = await _send(platform, reference)
    second = await _send(platform, reference, "+5511999990002")
    platform.ahead_ms = 2 * HOUR_MS
    await _erase(platform, first)
    assert await _sweep(platform, store) == FilesSwept(kept=1)
    assert (await store.get(platform.organization.id, reference))[1] == b"%PDF"
    await _erase(platform, second)
    assert await _sweep(platform, store) == FilesSwept(deleted=1)
    with pytest.raises(MediaMissing):
        await store.get(platform.organization.id, reference)
    assert (await store.get(platform.organization.id, other))[1] == b"other"
    assert await _sweep(platform, store) == FilesSwept()
    with pytest.raises(Invalid, match="upload it with POST /v1/media"):
        await _send(platform, reference, "+5511999990003")
    assert await _upload(platform, store) == reference
    await _send(platform, reference, "+5511999990003")
    await store.delete(platform.organization.id, reference)
    await store.delete(platform.organization.id, reference)  # one that is not there is deleted already


async def test_a_file_that_was_stored_within_the_hour_may_be_about_to_be_named(
    platform: Platform, folder: FolderMediaStore
) -> None:
    first = await _send(platform, await _upload(platform, folder))
    platform.ahead_ms = 2 * HOUR_MS
    reference = await _upload(platform, folder)
    await _erase(platform, first)
    assert await _sweep(platform, folder) == FilesSwept()
    await _send(platform, reference, "+5511999990002")
    platform.ahead_ms = 4 * HOUR_MS
    assert await _sweep(platform, folder) == FilesSwept(kept=1)


async def test_a_run_that_was_killed_after_the_file_went_is_made_up_for(
    platform: Platform, folder: FolderMediaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = await _send(platform, await _upload(platform, folder))
    platform.ahead_ms = 2 * HOUR_MS
    await _erase(platform, sent)
    remove = folder.delete

    async def killed(organization_id: UUID, reference: str) -> None:
        await remove(organization_id, reference)
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(folder, "delete", killed)
        with pytest.raises(asyncio.CancelledError):
            await _sweep(platform, folder)
    assert await platform.count("media_files") == 1
    assert await _sweep(platform, folder) == FilesSwept(deleted=1)
    assert await platform.count("media_files") == 0


async def test_while_the_store_is_away_files_stay_on_record_and_are_tried_again(
    platform: Platform, folder: FolderMediaStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sent = await _send(platform, await _upload(platform, folder))
    platform.ahead_ms = 2 * HOUR_MS
    await _erase(platform, sent)
    away = S3MediaStore(Bucket(name="files", endpoint="http://127.0.0.1:1", access_key="A", secret_key="s"))
    assert await _sweep(platform, away) == FilesSwept(failed=1)
    await away.close()
    assert "files were not deleted (1): berrante doctor says" in caplog.text
    assert await _sweep(platform, folder) == FilesSwept()
    assert len(_files(tmp_path)) == 1
    platform.ahead_ms += 11 * 60_000
    assert await _sweep(platform, folder) == FilesSwept(deleted=1)
    assert _files(tmp_path) == []


async def test_old_messages_take_their_files_along_and_uploads_that_none_named_go(
    platform: Platform, folder: FolderMediaStore, tmp_path: Path
) -> None:
    header = MediaContent(kind=MediaKind.DOCUMENT, stored=await _upload(platform, folder))
    parts = (Component(place=Place.HEADER, parameters=(Parameter(media=header),)),)
    template = TemplateContent(name="invoice", language="pt_BR", components=parts)
    sent = await platform.queued_message(to=TO, content=template)
    await platform.queued_message("a text")
    await _upload(platform, folder, b"never sent")
    async with platform.database.begin() as connection:
        await connection.execute(update(messages).values(status="sent"))
    platform.ahead_ms = 29 * DAY_MS
    assert (await _retain(platform), await _sweep(platform, folder)) == ((0, 0), FilesSwept())
    assert await platform.count("message_files") == 1
    assert (await platform.message(sent)).content["type"] == "template"
    platform.ahead_ms = 31 * DAY_MS
    assert await _retain(platform) == (2, 0)
    assert await _sweep(platform, folder) == FilesSwept(deleted=2)
    assert _files(tmp_path) == []
    assert await platform.count("message_files") == 0


async def test_what_a_campaign_names_stays_while_it_does(platform: Platform, folder: FolderMediaStore) -> None:
    campaigns = Campaigns(platform.database, platform.queues, platform.clock)
    owner = platform.organization.id
    first, second = await _upload(platform, folder), await _upload(platform, folder, b"second")

    def content(reference: str) -> dict[str, str]:
        return {"type": "media", "kind": "document", "media_id": reference.partition("/")[2]}

    made = await campaigns.create(
        organization_id=owner, instance_id="sales", name="X", content=content(first), recipients=[TO]
    )
    copied = await campaigns.duplicate(owner, made.id)
    platform.ahead_ms = 31 * DAY_MS
    assert await _sweep(platform, folder) == FilesSwept(kept=1, deleted=1)
    with pytest.raises(Invalid, match="upload it with POST /v1/media"):
        await campaigns.update(owner, made.id, content=content(second))
    await _upload(platform, folder, b"second")
    platform.ahead_ms += 2 * HOUR_MS
    await campaigns.update(owner, made.id, content=content(second))
    assert await _sweep(platform, folder) == FilesSwept(kept=1)
    await campaigns.delete(owner, copied.id)
    assert await _sweep(platform, folder) == FilesSwept(deleted=1)
    # Once it runs, what it named before may be on its way.
    await campaigns.start(owner, made.id)
    await _upload(platform, folder)
    await campaigns.update(owner, made.id, content=content(first))
    platform.ahead_ms += 31 * DAY_MS
    assert await _sweep(platform, folder) == FilesSwept(kept=2)


async def test_of_a_message_and_a_deletion_at_once_one_waits_for_the_other(
    platform: Platform, folder: FolderMediaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = await _upload(platform, folder)
    sent = await _send(platform, reference)
    platform.ahead_ms = 2 * HOUR_MS
    await _erase(platform, sent)
    async with platform.database.begin() as connection:  # a message is being written
        mine = {"organization_id": platform.organization.id, "message_id": sent, "reference": reference}
        assert await name_file(connection, **mine)
        assert await _sweep(platform, folder) == FilesSwept()
        await connection.rollback()

    begun, released = asyncio.Event(), asyncio.Event()
    remove = folder.delete

    async def slowly(organization_id: UUID, name: str) -> None:
        begun.set()
        await released.wait()
        await remove(organization_id, name)

    monkeypatch.setattr(folder, "delete", slowly)
    async with asyncio.TaskGroup() as tasks:
        sweeping = tasks.create_task(_sweep(platform, folder))
        await begun.wait()
        sending = asyncio.create_task(_send(platform, reference, "+5511999990002"))
        storing = tasks.create_task(_upload(platform, folder))
        await until(lambda: _waiting(platform, 2))
        released.set()
    assert sweeping.result() == FilesSwept(deleted=1)
    await asyncio.wait([sending])
    assert isinstance(sending.exception(), Invalid | None)  # it was before the upload, or after it
    assert (await folder.get(platform.organization.id, storing.result()))[1] == b"%PDF"


async def _waiting(platform: Platform, number: int) -> bool:
    async with platform.database.begin() as connection:
        query = text(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return (await connection.execute(query)).scalar_one() == number


class _Fetching(ScriptedGateway):
    """One that fetches a picture, while something else happens."""

    def __init__(self, media: MediaStore) -> None:
        super().__init__()
        self._media = media
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def fetch_media(self, *, organization_id: UUID, instance_id: str, media_id: str) -> Stored:
        stored = await self._media.put(organization_id, media_id.encode(), mime_type="image/jpeg")
        if self.meanwhile is not None:
            await self.meanwhile()
        return stored


async def test_what_contacts_send_goes_with_them_also_if_it_is_fetched_at_that_moment(
    platform: Platform, folder: FolderMediaStore, tmp_path: Path
) -> None:
    gateway = _Fetching(_registered(platform, folder))
    handler = platform.handlers({gateway.name: gateway})[QueueName.MESSAGE]

    async def received(number: int) -> UUID:
        data = {
            "organizationId": str(platform.organization.id),
            "instanceId": "sales",
            "from": f"+551199999000{number}",
            "content": {"type": "image", "image": {"id": f"picture {number}"}},
            "messageId": f"m{number}",
            "sentAt": platform.clock(),
        }
        stored = await platform.handle(QueueName.MESSAGE, "incoming", data, handler=handler)
        assert isinstance(stored, dict)
        return UUID(stored["messageId"])

    async def fetched(message_id: UUID) -> object:
        data = platform.send_data(message_id)
        return await platform.handle(QueueName.MESSAGE, "media", data, handler=handler)

    first, second, third = [await received(number) for number in range(3)]
    await fetched(first)
    assert len(_files(tmp_path)) == await platform.count("message_files") == 1
    gateway.meanwhile = lambda: _erase(platform, second)
    await fetched(second)
    assert await platform.count("message_files") == 1
    platform.ahead_ms = 2 * HOUR_MS
    assert await _sweep(platform, folder) == FilesSwept(deleted=1)
    await _erase(platform, first)
    assert await _sweep(platform, folder) == FilesSwept(deleted=1)
    assert _files(tmp_path) == []

    async def deleted() -> None:
        platform.ahead_ms += 31 * DAY_MS
        assert await _sweep(platform, folder) == FilesSwept(deleted=1)

    gateway.meanwhile = deleted
    with pytest.raises(MediaUnavailable, match="deleted with the last message that named it"):
        await fetched(third)
    gateway.meanwhile = None
    await fetched(third)
    assert len(_files(tmp_path)) == await platform.count("message_files") == 1


async def test_a_text_costs_nothing_of_all_this(platform: Platform, folder: FolderMediaStore) -> None:
    reference = await _upload(platform, folder)
    platform.work(QueueName.MESSAGE)
    with _statements(platform) as asked:
        await platform.queued_message("Hello")
        await platform.finished(QueueName.MESSAGE, await platform.incoming("Oi"))
    assert any("INSERT INTO messages" in each for each in asked)
    assert [each for each in asked if "_files" in each] == []
    with _statements(platform) as asked:
        await _send(platform, reference)
    assert len([each for each in asked if "_files" in each]) == 1


async def test_messages_from_before_the_records_are_gone_through_before_anything_is_deleted(
    platform: Platform, folder: FolderMediaStore
) -> None:
    reference, erased = await _upload(platform, folder), await _upload(platform, folder, b"erased")
    campaign = await _upload(platform, folder, b"campaign")
    ids = [await _send(platform, reference), await _send(platform, erased, "+5511999990002")]
    await platform.queued_message("a text", "+5511999990003")
    named = {"type": "media", "kind": "document", "media_id": campaign.partition("/")[2]}
    await platform.campaigns.create(
        organization_id=platform.organization.id, instance_id="sales", name="X", content=named, recipients=[TO]
    )
    async with platform.database.begin() as connection:
        for statement in (
            "DELETE FROM media_files",
            "INSERT INTO media_backfill SELECT 1, '00000000-0000-0000-0000-000000000000', now() + interval '1 day'",
        ):
            await connection.execute(text(statement))
    assert (await platform.count("message_files"), await platform.count("campaign_files")) == (0, 0)
    await _erase(platform, ids[1])
    platform.ahead_ms = 2 * HOUR_MS
    assert await _sweep(platform, folder) == FilesSwept(read=3)
    assert await platform.count("message_files") == 1
    platform.ahead_ms = 26 * HOUR_MS  # processes of the version before are gone by now
    assert await _sweep(platform, folder) == FilesSwept(deleted=1)
    assert await platform.count("media_backfill") == 0
    platform.ahead_ms = 90 * DAY_MS
    assert await _sweep(platform, folder) == FilesSwept()
    for kept in (reference, campaign):
        await folder.find(platform.organization.id, kept)
    await _erase(platform, ids[0])
    assert await _sweep(platform, folder) == FilesSwept(deleted=1)


async def test_an_upload_from_before_the_records_can_be_sent(platform: Platform, folder: FolderMediaStore) -> None:
    stored = await folder.put(platform.organization.id, b"old", mime_type="application/pdf")
    await _registered(platform, folder).find(platform.organization.id, stored.reference)
    await _send(platform, stored.reference)
    platform.ahead_ms = 31 * DAY_MS
    assert await _sweep(platform, folder) == FilesSwept(kept=1)


async def test_files_of_an_organization_that_is_gone_go_too(platform: Platform, folder: FolderMediaStore) -> None:
    await _send(platform, await _upload(platform, folder))
    platform.ahead_ms = 31 * DAY_MS
    assert await _sweep(platform, folder) == FilesSwept(kept=1)
    sweeper = FileSweeper(database=platform.database, store=folder, clock=platform.clock)
    assert await sweeper.check_orphans() == 0
    async with platform.database.begin() as connection:
        await connection.execute(delete(organizations).where(organizations.c.id == platform.organization.id))
    assert await sweeper.check_orphans() == 1
    assert await sweeper.sweep() == FilesSwept(deleted=1)
    assert await platform.count("message_files") == 0


async def test_what_a_message_says_of_others_files_lets_none_go(platform: Platform, folder: FolderMediaStore) -> None:
    theirs = f"{new_id()}/{'a' * 64}.pdf"
    sent = await _send(platform, await _upload(platform, folder))
    async with platform.database.begin() as connection:
        content = {"type": "document", "document": {"stored": theirs}}
        await connection.execute(update(messages).where(messages.c.id == sent).values(content=content))
    await _erase(platform, sent)
    async with platform.database.begin() as connection:
        found = (await connection.execute(text("SELECT reference FROM media_files"))).scalars().all()
    assert theirs not in found
