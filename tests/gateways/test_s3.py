"""The media store in a bucket, against a server that checks every signature."""

import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import httpx
import pytest
import pytest_asyncio

from berrante.gateways.media import Bucket, MediaMissing, MediaStoreUnavailable, S3MediaStore, spooled
from berrante.gateways.media.signing import signed
from tests.gateways.s3_server import s3_server
from tests.gateways.streams import MIB, chunks, peak_of

OURS, THEIRS = UUID(int=7), UUID(int=8)


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with s3_server("files") as server:
        yield Bucket(
            name="files",
            access_key=server.access_key,
            secret_key=server.secret_key,
            endpoint=server.url,
            prefix="berrante/",
            path_style=True,
        )


@pytest_asyncio.fixture
async def store(bucket: Bucket) -> AsyncIterator[S3MediaStore]:
    store = S3MediaStore(bucket)
    yield store
    await store.close()


def test_every_header_that_s3_wants_signed_is():
    # S3 itself refuses a request with an x-amz-* header that is not signed; the server of these tests does not.
    request = httpx.Request("GET", "https://files.s3.amazonaws.com/test.txt", headers={"x-amz-acl": "private"})
    signed(
        request,
        payload_sha256=hashlib.sha256(b"").hexdigest(),
        region="us-east-1",
        access_key="AKIA",
        secret_key="secret",
        at=datetime(2013, 5, 24, tzinfo=UTC),
    )
    told = request.headers["Authorization"]
    assert "Credential=AKIA/20130524/us-east-1/s3/aws4_request," in told
    assert "SignedHeaders=host;x-amz-acl;x-amz-content-sha256;x-amz-date," in told


async def test_a_file_is_read_back_and_the_same_file_is_the_same_reference(store):
    first = await store.put(OURS, b"one", mime_type="image/jpeg")
    again = await store.put(OURS, b"one", mime_type="IMAGE/JPEG; x=y")
    other = await store.put(OURS, b"\x00" * 3_000_000, mime_type="application/x-unheard-of")
    assert first == again
    assert (other.mime_type, other.size) == ("application/octet-stream", 3_000_000)
    assert await store.get(OURS, first.reference) == (first, b"one")
    assert await store.find(OURS, other.reference) == other
    assert await store.check() == "bucket 'files' at 127.0.0.1"


async def test_another_organizations_file_and_no_file_look_the_same(store, bucket):
    theirs = await store.put(THEIRS, b"secret", mime_type="image/jpeg")
    absent = theirs.reference.replace(str(THEIRS), str(OURS))
    for reference in (theirs.reference, absent, f"{OURS}/../{theirs.reference}", "", "a\0b"):
        for ask in (store.get, store.find):
            with pytest.raises(MediaMissing, match="store the file again"):
                await ask(OURS, reference)
    # Under its prefix alone: two installations may share a bucket.
    elsewhere = S3MediaStore(replace(bucket, prefix="other/"))
    with pytest.raises(MediaMissing):
        await elsewhere.get(THEIRS, theirs.reference)
    await elsewhere.close()


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ({"secret_key": "not-the-secret"}, "BERRANTE_S3_SECRET_KEY"),
        ({"access_key": "AKIAUNKNOWN"}, "BERRANTE_S3_ACCESS_KEY"),
        ({"name": "absent"}, "make the bucket, or correct BERRANTE_S3_BUCKET"),
        ({"endpoint": "http://127.0.0.1:1"}, "BERRANTE_S3_ENDPOINT"),
    ],
)
async def test_a_bucket_that_is_out_of_reach_says_what_to_do_and_shows_no_secret(store, bucket, wrong, remedy):
    there = await store.put(OURS, b"one", mime_type="image/jpeg")
    broken = S3MediaStore(replace(bucket, **wrong))
    for ask in (broken.check(), broken.put(OURS, b"x", mime_type="image/png"), broken.get(OURS, there.reference)):
        with pytest.raises(MediaStoreUnavailable) as raised:
            await ask
        assert remedy in str(raised.value)
        assert bucket.secret_key not in str(raised.value)
    await broken.close()
    assert bucket.secret_key not in repr(bucket)


async def test_a_long_file_is_never_whole_in_memory(store):
    async def put():
        async with spooled(chunks(16 * MIB), most=16 * MIB) as file:
            return await store.put_spooled(OURS, file, mime_type="video/mp4")

    stored, peak = await peak_of(put())
    assert peak < 8 * MIB
    assert await store.get(OURS, stored.reference) == (stored, b"".join([each async for each in chunks(16 * MIB)]))
