"""Files on their way to WhatsApp: uploaded once per number, used as long as Meta keeps them."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final
from uuid import UUID

from berrante.gateways.cloud.credentials import CloudNumber
from berrante.gateways.cloud.graph import Graph
from berrante.gateways.media import MediaMissing, MediaStore
from berrante.gateways.protocol import Action, InDoubt, Scope, SendError

#: Meta keeps an upload for 30 days ("Media"); a day less, so that none ends between our look and the send.
_KEPT_MS: Final = 29 * 24 * 3_600_000
_MANY: Final = 10_000
_STORE_AWAY_MS: Final = 5_000

_Key = tuple[str, str]  # phone number id, reference


class Uploads:
    """WhatsApp's ids of stored files. Known to this process alone: another one uploads anew, which costs only time."""

    def __init__(self, graph: Graph, store: MediaStore, *, clock: Callable[[], int]) -> None:
        self._graph = graph
        self._store = store
        self._clock = clock
        self._known: OrderedDict[_Key, tuple[str, int]] = OrderedDict()
        self._under_way: dict[_Key, asyncio.Lock] = {}

    async def id_of(self, number: CloudNumber, organization_id: UUID, reference: str) -> str:
        """Return the id, uploading if need be; a campaign that starts everywhere at once uploads once.

        Raises ``SendError``; an upload that was cut off is none that a contact sees, so it is never in doubt.
        """
        key = (number.phone_number_id, reference)
        lock = self._under_way.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                known = self._known.get(key)
                if known is not None and known[1] > self._clock():
                    return known[0]
                return self._keep(key, await self._upload(number, organization_id, reference))
        finally:
            if not lock.locked():
                self._under_way.pop(key, None)

    def forget(self, number: CloudNumber, reference: str) -> None:
        """Upload anew the next time: WhatsApp does not know the id any more."""
        self._known.pop((number.phone_number_id, reference), None)

    def _keep(self, key: _Key, id_: str) -> str:
        self._known[key] = (id_, self._clock() + _KEPT_MS)
        if len(self._known) > _MANY:
            self._known.popitem(last=False)
        return id_

    async def _upload(self, number: CloudNumber, organization_id: UUID, reference: str) -> str:
        try:
            stored, data = await self._store.get(organization_id, reference)
        except MediaMissing as error:
            raise SendError(str(error), scope=Scope.MESSAGE, action=Action.DROP, code=error.code) from error
        except OSError as error:
            raise SendError(
                f"the media store does not answer: {error.strerror or error}",
                scope=Scope.NUMBER,
                action=Action.RETRY,
                code="media_store_unavailable",
                retry_after_ms=_STORE_AWAY_MS,
            ) from error
        name = reference.rpartition("/")[2]
        try:
            answer = await self._graph.post(
                number,
                (number.phone_number_id, "media"),
                data={"messaging_product": "whatsapp", "type": stored.mime_type},
                files={"file": (name, data, stored.mime_type)},
            )
        except InDoubt as error:
            raise _cut_off(str(error)) from error
        id_ = answer.get("id")
        if not isinstance(id_, str) or not id_:
            raise _cut_off("Graph answered an upload without an id")
        return id_


def _cut_off(reason: str) -> SendError:
    return SendError(reason, scope=Scope.MESSAGE, action=Action.RETRY, code="upload_failed")
