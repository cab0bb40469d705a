"""A media store in a bucket that speaks S3: AWS', or MinIO's, Cloudflare's, Backblaze's and others'."""

import hashlib
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar, Final
from uuid import UUID

import httpx

from berrante.gateways.media.naming import mime_type_of, named, named_by
from berrante.gateways.media.signing import signed
from berrante.gateways.media.spooling import Spooled
from berrante.gateways.media.store import MediaMissing, MediaStoreUnavailable, Stored

_TIMEOUT: Final = httpx.Timeout(connect=5, write=60, read=60, pool=5)
_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9]{1,60})</Code>")
_REGION: Final = re.compile(rb"<Region>([a-z0-9-]{1,40})</Region>")
_NO_BUCKET: Final = "NoSuchBucket"
#: S3's codes, or the status where there is none, and what mends them.
_REMEDIES: Final = {
    _NO_BUCKET: "make the bucket, or correct BERRANTE_S3_BUCKET",
    "InvalidAccessKeyId": "correct BERRANTE_S3_ACCESS_KEY",
    "SignatureDoesNotMatch": "correct BERRANTE_S3_SECRET_KEY",
    "RequestTimeTooSkewed": "set this machine's clock",
    "403": "correct BERRANTE_S3_ACCESS_KEY and BERRANTE_S3_SECRET_KEY, and let them list, read, write and delete",
    "404": "make the bucket, or correct BERRANTE_S3_BUCKET",
    "301": "correct BERRANTE_S3_REGION or BERRANTE_S3_ENDPOINT",
    "400": "correct BERRANTE_S3_REGION or BERRANTE_S3_ENDPOINT",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Bucket:
    """Where files go; the secret is not in the ``repr``. Without ``endpoint`` it is AWS'."""

    name: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    endpoint: str = ""
    prefix: str = ""
    path_style: bool = False

    def url(self, key: str = "") -> httpx.URL:
        """Return the address of a file.

        >>> str(Bucket(name="files", access_key="a", secret_key="s", region="sa-east-1").url("x"))
        'https://files.s3.sa-east-1.amazonaws.com/x'
        >>> own = {"endpoint": "http://127.0.0.1:9000", "prefix": "berrante/", "path_style": True}
        >>> str(Bucket(name="files", access_key="a", secret_key="s", **own).url("x"))
        'http://127.0.0.1:9000/files/berrante/x'
        """
        endpoint = httpx.URL(self.endpoint or f"https://s3.{self.region}.amazonaws.com")
        path = f"{self.prefix}{key}" if key else ""
        before = endpoint.path.rstrip("/")
        if self.path_style:
            return endpoint.copy_with(path=f"{before}/{self.name}/{path}".rstrip("/"))
        return endpoint.copy_with(host=f"{self.name}.{endpoint.host}", path=f"{before}/{path}")


class S3MediaStore:
    """Files named as in a folder, each organization's under its own id; close it at the end.

    What is asked of the bucket is to list, read, write and delete: without the right to list, S3 answers of a file
    that is not there that it is forbidden.
    """

    name: ClassVar[str] = "s3"

    def __init__(
        self,
        bucket: Bucket,
        *,
        client: httpx.AsyncClient | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(tz=UTC),
    ) -> None:
        self._bucket = bucket
        self._client = client or httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False)
        self._clock = clock

    async def put(self, organization_id: UUID, data: bytes, *, mime_type: str) -> Stored:
        """Store the file; S3 answers once it is durable, and checks that it got these bytes."""
        stored = named(organization_id, data, mime_type=mime_type)
        await self._ask("PUT", stored.reference, content=data, content_type=stored.mime_type)
        return stored

    async def put_spooled(self, organization_id: UUID, file: Spooled, *, mime_type: str) -> Stored:
        """Store the file as ``put`` does, piece by piece in one request."""
        stored = named_by(organization_id, sha256=file.sha256, size=file.size, mime_type=mime_type)
        await self._ask("PUT", stored.reference, content=file, content_type=stored.mime_type)
        return stored

    async def get(self, organization_id: UUID, reference: str) -> tuple[Stored, bytes]:
        """Read the file; raises ``MediaMissing``."""
        mime_type = mime_type_of(organization_id, reference)
        answer = await self._ask("GET", reference)
        return Stored(reference=reference, mime_type=mime_type, size=len(answer.content)), answer.content

    async def find(self, organization_id: UUID, reference: str) -> Stored:
        """Look at the file without reading it; raises ``MediaMissing``."""
        mime_type = mime_type_of(organization_id, reference)
        answer = await self._ask("HEAD", reference)
        return Stored(reference=reference, mime_type=mime_type, size=int(answer.headers.get("Content-Length", 0)))

    async def delete(self, organization_id: UUID, reference: str) -> None:
        """Delete the object, if it is there; raises ``MediaMissing`` for what cannot be one.

        In a bucket with versions S3 keeps the older ones.
        """
        mime_type_of(organization_id, reference)
        try:
            await self._ask("DELETE", reference)
        except MediaMissing:
            return  # AWS answers 204 all the same, others 404

    async def check(self) -> str:
        """Return where files are kept; raises ``MediaStoreUnavailable``, with the remedy, if that is out of reach."""
        await self._ask("HEAD")
        return f"bucket {self._bucket.name!r} at {self._bucket.url().host}"

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _ask(
        self, method: str, reference: str = "", *, content: bytes | Spooled = b"", content_type: str | None = None
    ) -> httpx.Response:
        headers = {"Content-Type": content_type} if content_type else {}
        body: bytes | AsyncIterator[bytes] | None
        if isinstance(content, Spooled):
            # S3 takes no body whose length it is not told beforehand.
            headers["Content-Length"] = str(content.size)
            body, sha256 = content.pieces(), content.sha256
        else:
            body, sha256 = content or None, hashlib.sha256(content).hexdigest()
        request = self._client.build_request(method, self._bucket.url(reference), content=body, headers=headers)
        signed(
            request,
            payload_sha256=sha256,
            region=self._bucket.region,
            access_key=self._bucket.access_key,
            secret_key=self._bucket.secret_key,
            at=self._clock(),
        )
        try:
            answer = await self._client.send(request)
        except httpx.HTTPError as error:
            raise MediaStoreUnavailable(
                f"{self._bucket.url().host} does not answer ({type(error).__name__})",
                remedy="check BERRANTE_S3_ENDPOINT and the network",
            ) from error
        if answer.is_success:
            return answer
        code = found[1].decode() if (found := _CODE.search(answer.content)) else str(answer.status_code)
        if answer.status_code == httpx.codes.NOT_FOUND and reference and code != _NO_BUCKET:
            raise MediaMissing(reference)
        raise self._refusal(answer, code)

    def _refusal(self, answer: httpx.Response, code: str) -> MediaStoreUnavailable:
        remedy = _REMEDIES.get(code) or _REMEDIES.get(str(answer.status_code), "try again")
        if found := _REGION.search(answer.content):
            remedy = f"set BERRANTE_S3_REGION to {found[1].decode()}"
        problem = f"{self._bucket.url().host} answers {answer.status_code} {code} for bucket {self._bucket.name!r}"
        return MediaStoreUnavailable(problem, remedy=remedy)
