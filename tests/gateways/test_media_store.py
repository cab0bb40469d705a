"""The media store in a folder."""

from uuid import UUID

import pytest

from berrante.gateways.media import FolderMediaStore, MediaMissing, TooLong, spooled
from tests.gateways.streams import MIB, chunks, peak_of

OURS, THEIRS = UUID(int=7), UUID(int=8)


async def test_a_file_is_read_back_and_the_same_file_is_the_same_reference(tmp_path):
    store = FolderMediaStore(tmp_path)
    first = await store.put(OURS, b"one", mime_type="image/jpeg")
    again = await store.put(OURS, b"one", mime_type="IMAGE/JPEG; x=y")
    other = await store.put(OURS, b"two", mime_type="application/x-unheard-of")
    assert first == again
    assert (other.mime_type, other.size) == ("application/octet-stream", 3)
    assert await store.get(OURS, first.reference) == (first, b"one")
    assert sorted(path.suffix for path in tmp_path.rglob("*") if path.is_file()) == [".bin", ".jpg"]


async def test_another_organizations_file_and_no_file_look_the_same(tmp_path):
    store = FolderMediaStore(tmp_path)
    theirs = await store.put(THEIRS, b"secret", mime_type="image/jpeg")
    (tmp_path / "secret.txt").write_text("x")
    absent = theirs.reference.replace(str(THEIRS), str(OURS))
    for reference in (theirs.reference, absent, "../secret.txt", f"{OURS}/../secret.txt", "", "/etc/passwd", "a\0b"):
        with pytest.raises(MediaMissing, match="store the file again"):
            await store.get(OURS, reference)


async def test_a_write_that_fails_leaves_no_half_file(tmp_path, monkeypatch):
    store = FolderMediaStore(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        await store.put(OURS, b"one", mime_type="image/jpeg")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_a_long_file_is_never_whole_in_memory(tmp_path):
    store = FolderMediaStore(tmp_path)

    async def put():
        async with spooled(chunks(16 * MIB), most=16 * MIB) as file:
            return await store.put_spooled(OURS, file, mime_type="video/mp4")

    stored, peak = await peak_of(put())
    assert peak < 8 * MIB
    assert await store.get(OURS, stored.reference) == (stored, b"".join([each async for each in chunks(16 * MIB)]))
    assert await store.put(OURS, b"one", mime_type="video/mp4") != stored


async def test_one_that_is_too_long_is_refused_before_it_is_read_to_its_end(tmp_path):
    read = []

    async def endless():
        while True:
            read.append(MIB)
            yield bytes(MIB)

    with pytest.raises(TooLong, match="more than 3145728 bytes"):
        async with spooled(endless(), most=3 * MIB):
            raise AssertionError("it was taken")
    assert len(read) == 4
