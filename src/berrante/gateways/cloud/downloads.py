"""Files that contacts sent, from Meta into the media store."""

import base64
import hashlib
import hmac
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import httpx

from berrante.gateways.cloud.credentials import CloudNumber
from berrante.gateways.cloud.graph import Graph, authorization, read_answer
from berrante.gateways.media import MediaStore, MediaTooLarge, MediaUnavailable, Stored
from berrante.gateways.protocol import Action, InDoubt, SendError

#: Meta, "Supported media types": a document, the largest of all.
MOST_BYTES: Final = 100 * 1024 * 1024
#: Meta hands out files from these; our token is shown to nobody else.
_META: Final = (".facebook.com", ".fbsbx.com", ".fbcdn.net", ".whatsapp.net")


async def download(
    graph: Graph, store: MediaStore, number: CloudNumber, *, organization_id: UUID, media_id: str
) -> Stored:
    """Fetch a file by WhatsApp's id and store it; raises ``MediaUnavailable``."""
    described = await _described(graph, number, media_id)
    url, mime_type = described.get("url"), described.get("mime_type")
    if not isinstance(url, str) or not isinstance(mime_type, str):
        raise MediaUnavailable("Graph described it without an address", again=False)
    if not _is_metas(url, number):
        raise MediaUnavailable("its address is none of Meta's", again=False)
    data = await _read(graph, number, url)
    _verify(data, described.get("sha256"))
    return await store.put(organization_id, data, mime_type=mime_type)


async def _described(graph: Graph, number: CloudNumber, media_id: str) -> Any:  # noqa: ANN401  JSON
    if not media_id.isalnum():  # it becomes part of an address
        raise MediaUnavailable(f"{media_id[:40]!r} is no id of Meta's", again=False)
    try:
        return read_answer(await graph.client.get(number.url(media_id), headers=authorization(number)))
    except SendError as error:
        gone = error.action is Action.DROP
        raise MediaUnavailable(str(error), again=not gone) from error
    except (InDoubt, httpx.HTTPError) as error:
        raise MediaUnavailable(str(error) or type(error).__name__, again=True) from error


async def _read(graph: Graph, number: CloudNumber, url: str) -> bytes:
    data = bytearray()
    try:
        async with graph.client.stream("GET", url, headers=authorization(number)) as answer:
            if not answer.is_success:
                # The address holds for five minutes; the next try asks for a new one.
                raise MediaUnavailable(f"its address answered {answer.status_code}", again=True)
            async for chunk in answer.aiter_bytes():
                data += chunk
                if len(data) > MOST_BYTES:
                    raise MediaTooLarge(len(data), most=MOST_BYTES)
    except httpx.HTTPError as error:
        raise MediaUnavailable(f"{type(error).__name__} {error}".strip(), again=True) from error
    return bytes(data)


def _is_metas(url: str, number: CloudNumber) -> bool:
    try:
        parts, own = urlsplit(url), urlsplit(number.base_url)
    except ValueError:
        return False
    if (parts.scheme, parts.netloc) == (own.scheme, own.netloc):
        return True
    return parts.scheme == "https" and (parts.hostname or "").endswith(_META)


def _verify(data: bytes, told: object) -> None:
    if not isinstance(told, str) or not told:
        return
    digest = hashlib.sha256(data)
    # Hexadecimal from the media endpoint, base64 in webhooks.
    if not any(
        hmac.compare_digest(told.encode(), each.encode())
        for each in (digest.hexdigest(), base64.b64encode(digest.digest()).decode())
    ):
        raise MediaUnavailable("its bytes are not those that Meta described", again=True)
