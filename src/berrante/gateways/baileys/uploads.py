"""Files on their way to WhatsApp: encrypted here, uploaded to its media host once per number, then only named."""

import asyncio
import base64
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

import httpx

from berrante.gateways.baileys.ciphers import encrypted
from berrante.gateways.baileys.hosts import ORIGIN, MediaHosts
from berrante.gateways.media import MediaMissing, MediaStore
from berrante.gateways.protocol import Action, MediaContent, MediaKind, Scope, SendError

#: WhatsApp names no time for which it keeps what nobody fetched; its own clients forward files of many days.
_KEPT_MS: Final = 24 * 3_600_000
_MANY: Final = 1_000
#: Less than a send may take; a larger file goes on, and the next try finds it.
_WAIT_S: Final = 12.0
_AGAIN_MS: Final = 2_000
_MOST_RETRIES: Final = 8
_PATHS: Final = {kind: f"/mms/{'image' if kind is MediaKind.STICKER else kind.value}" for kind in MediaKind}

Json = dict[str, Any]
_Key = tuple[str, str, MediaKind]


class Uploads:
    """Uploaded files as messages describe them. Known to this process alone: another one uploads anew."""

    def __init__(self, hosts: MediaHosts, store: MediaStore, *, clock: Callable[[], int]) -> None:
        self._hosts = hosts
        self._store = store
        self._clock = clock
        self._known: OrderedDict[_Key, tuple[Json, int]] = OrderedDict()
        self._under_way: dict[_Key, asyncio.Task[Json]] = {}

    async def described(self, organization_id: UUID, instance_id: str, content: MediaContent) -> Json:
        """Return how a message describes the file, uploading it if need be; raises ``SendError``.

        What the host does wrong holds the message alone, and uses no attempt; after eight times it is given up.
        """
        reference = content.stored
        if reference is None:
            reason = "a number on Baileys sends files of the media store: upload it with POST /v1/media, give media_id"
            raise SendError(reason, scope=Scope.MESSAGE, action=Action.DROP, code="131053")
        key = (instance_id, reference, content.kind)
        known = self._known.get(key)
        if known is not None and known[1] > self._clock():
            return dict(known[0])
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(self._upload(organization_id, *key), name="upload")
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._done(key, done))
        finished, _ = await asyncio.wait([task], timeout=_WAIT_S)
        if not finished:
            raise _postponed("the file is still on its way to WhatsApp", code="upload_slow")
        return dict(task.result())

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, key: _Key, task: asyncio.Task[Json]) -> None:
        del self._under_way[key]
        if task.cancelled() or task.exception() is not None:
            return
        self._known[key] = (task.result(), self._clock() + _KEPT_MS)
        if len(self._known) > _MANY:
            self._known.popitem(last=False)

    async def _upload(self, organization_id: UUID, instance_id: str, reference: str, kind: MediaKind) -> Json:
        try:
            stored, data = await self._store.get(organization_id, reference)
        except MediaMissing as error:
            raise SendError(str(error), scope=Scope.MESSAGE, action=Action.DROP, code=error.code) from error
        except OSError as error:
            reason = f"the media store does not answer: {error.strerror or type(error).__name__}"
            raise _postponed(reason, code="media_store_unavailable") from error
        file_key = secrets.token_bytes(32)
        body = await asyncio.to_thread(encrypted, data, file_key, kind)
        digest = hashlib.sha256(body).digest()
        answer = await self._put(organization_id, instance_id, _PATHS[kind], digest, body)
        # An Opus sound is shown as a voice message, as the Cloud API has it.
        voice = kind is MediaKind.AUDIO and stored.mime_type == "audio/ogg"
        return {
            "url": answer["url"],
            "directPath": answer["direct_path"],
            "mediaKey": base64.b64encode(file_key).decode(),
            "mediaKeyTimestamp": self._clock() // 1_000,
            "fileEncSha256": base64.b64encode(digest).decode(),
            "fileSha256": base64.b64encode(hashlib.sha256(data).digest()).decode(),
            "fileLength": len(data),
            "mimetype": "audio/ogg; codecs=opus" if voice else stored.mime_type,
            **({"ptt": True} if voice else {}),
        }

    async def _put(self, organization_id: UUID, instance_id: str, path: str, digest: bytes, body: bytes) -> Json:
        token = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        hosts = await self._hosts.of(organization_id, instance_id)
        reason = "WhatsApp named no media host"
        for host in hosts.names:
            try:
                answer = await self._hosts.client.post(
                    f"https://{host}{path}/{token}",
                    params={"auth": hosts.auth, "token": token},
                    content=body,
                    headers={"Content-Type": "application/octet-stream", "Origin": ORIGIN},
                )
            except httpx.HTTPError as error:
                reason = f"{host}: {type(error).__name__} {error}".strip()
                continue
            if answer.is_success and isinstance(said := _json(answer), dict) and said.keys() >= {"url", "direct_path"}:
                return said
            reason = f"{host} answers {answer.status_code}"
        raise _postponed(f"WhatsApp's media host did not take the file ({reason})", code="upload_failed")


def _json(answer: httpx.Response) -> Any:  # noqa: ANN401  JSON
    try:
        return answer.json()
    except ValueError:
        return None


def _postponed(reason: str, *, code: str) -> SendError:
    return SendError(
        reason,
        scope=Scope.RECIPIENT,
        action=Action.HOLD,
        code=code,
        retry_after_ms=_AGAIN_MS,
        growth=2,
        most_retries=_MOST_RETRIES,
    )
