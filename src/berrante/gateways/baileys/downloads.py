"""Files that contacts sent: from WhatsApp's media host, decrypted, into the media store."""

import asyncio
import base64
import json
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import httpx

from berrante.gateways.baileys.ciphers import NotTheFile, decrypted
from berrante.gateways.baileys.hosts import ORIGIN, MediaHosts
from berrante.gateways.media import MAX_BYTES, MediaStore, MediaTooLarge, MediaUnavailable, Stored
from berrante.gateways.protocol import MediaKind, SendError

_KEY_BYTES: Final = 32
_SPARE: Final = 32  # padding and signature
_GONE: Final = frozenset({404, 410})


async def download(
    hosts: MediaHosts, store: MediaStore, *, organization_id: UUID, instance_id: str, media_id: str
) -> Stored:
    """Fetch a file by the id that the sidecar gave it and store it; raises ``MediaUnavailable``."""
    file = _File.read(media_id)
    try:
        named = await hosts.of(organization_id, instance_id)
    except SendError as error:
        raise MediaUnavailable(str(error), again=True) from error
    if not named.names:
        raise MediaUnavailable("WhatsApp named no media host", again=True)
    # The host is WhatsApp's word, never the message's: its sender could name any machine that we reach.
    body = await _fetched(hosts.client, f"https://{named.names[0]}{file.path}")
    try:
        data = await asyncio.to_thread(decrypted, body, file.key, file.kind)
    except NotTheFile as error:
        raise MediaUnavailable("its bytes are not those that were sent", again=True) from error
    return await store.put(organization_id, data, mime_type=file.mime_type)


@dataclass(frozen=True, slots=True)
class _File:
    kind: MediaKind
    key: bytes
    path: str
    mime_type: str

    @classmethod
    def read(cls, media_id: str) -> "_File":
        """Read the id that the sidecar made (``sidecar/src/reading.js``)."""
        try:
            said = json.loads(base64.urlsafe_b64decode(media_id + "=" * (-len(media_id) % 4)))
            file = cls(MediaKind(said["type"]), base64.b64decode(said["key"]), str(said["path"]), str(said.get("mime")))
        except (ValueError, KeyError, TypeError) as error:
            raise MediaUnavailable("its id is none of the sidecar's", again=False) from error
        # The path too is its sender's word: after the host's name, only a slash keeps it a path.
        if len(file.key) != _KEY_BYTES or not file.path.startswith("/") or not file.path.isascii():
            raise MediaUnavailable("its sender named no key, or no path", again=False)
        return file


async def _fetched(client: httpx.AsyncClient, url: str) -> bytes:
    data = bytearray()
    try:
        async with client.stream("GET", url, headers={"Origin": ORIGIN}) as answer:
            if answer.status_code in _GONE:
                raise MediaUnavailable("WhatsApp keeps it no more", again=False)
            if not answer.is_success:
                raise MediaUnavailable(f"WhatsApp's media host answers {answer.status_code}", again=True)
            async for chunk in answer.aiter_bytes():
                data += chunk
                if len(data) > MAX_BYTES + _SPARE:
                    raise MediaTooLarge(len(data), most=MAX_BYTES)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise MediaUnavailable(f"{type(error).__name__} {error}".strip(), again=True) from error
    return bytes(data)
