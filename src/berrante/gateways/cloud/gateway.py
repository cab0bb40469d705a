"""The gateway to Meta's Cloud API."""

import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final
from uuid import UUID

from berrante.gateways.cloud.credentials import CloudNumber, Credentials
from berrante.gateways.cloud.downloads import download
from berrante.gateways.cloud.graph import Graph
from berrante.gateways.cloud.payloads import payload, stored_in
from berrante.gateways.cloud.uploads import Uploads
from berrante.gateways.media import MediaStore, MediaUnavailable, Stored
from berrante.gateways.protocol import Accepted, Action, InDoubt, OutboundMessage, Scope, SendError

_AGAIN_MS: Final = 5_000
_TOLD: Final = ("display_phone_number", "quality_rating", "whatsapp_business_manager_messaging_limit")


class CloudGateway:
    """Sends for every number whose token ``credentials`` has, over one pool of connections; close it at the end.

    Meta has no idempotency key: what was sent twice is seen twice. The wire id travels with the message instead, and
    every status repeats it, so that a send whose answer was lost is settled by what Meta tells later.
    """

    name: ClassVar[str] = "cloud"
    resend_is_safe: ClassVar[bool] = False

    def __init__(
        self,
        credentials: Credentials,
        store: MediaStore,
        *,
        graph: Graph | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._credentials = credentials
        self._store = store
        self._graph = graph or Graph()
        self._clock = clock
        self._uploads = Uploads(self._graph, store, clock=clock)

    async def close(self) -> None:
        """Close all connections."""
        await self._graph.close()

    def wire_id(self, message_id: UUID) -> str:
        """Return ``BRT`` and the row id in hexadecimal."""
        return f"BRT{message_id.hex.upper()}"

    async def send(self, message: OutboundMessage) -> Accepted:
        """Send; ``provider_id`` of what is returned is WhatsApp's id. Raises ``SendError`` and ``InDoubt``."""
        number = await self._number(message.organization_id, message.instance_id)
        references = list(dict.fromkeys(stored_in(message.content)))
        uploaded = {
            reference: await self._uploads.id_of(number, message.organization_id, reference) for reference in references
        }
        try:
            answer = await self._graph.post(
                number, (number.phone_number_id, "messages"), json=payload(message, uploaded)
            )
        except SendError as error:
            if error.code in {"131052", "131053", "100"}:
                for reference in references:  # the upload itself may be what Meta does not know any more
                    self._uploads.forget(number, reference)
            raise
        match answer:
            case {"messages": [{"id": str(id_)}, *_]} if id_:
                return Accepted(provider_id=id_, accepted_at_ms=self._clock())
            case _:
                raise InDoubt("Graph accepted the message, and did not say under which id")

    async def mark_read(
        self, *, organization_id: UUID, instance_id: str, message_id: str, typing: bool = False
    ) -> None:
        """Show the contact that a message was read (``message_id`` is WhatsApp's), and all before it.

        With ``typing`` the contact sees that we write, until a message goes out or 25 seconds have passed.
        Raises as ``send`` does.
        """
        number = await self._number(organization_id, instance_id)
        body: dict[str, object] = {"messaging_product": "whatsapp", "status": "read", "message_id": message_id}
        if typing:
            body["typing_indicator"] = {"type": "text"}
        await self._graph.post(number, (number.phone_number_id, "messages"), json=body)

    async def look(self, *, organization_id: UUID, instance_id: str) -> Mapping[str, Any]:
        """Return what Graph says of a number, by Graph's names; raises as ``send`` does.

        What is there is a matter of the number and of Graph's version: ask for each with ``get``.
        """
        number = await self._number(organization_id, instance_id)
        return await self._graph.get(number, (number.phone_number_id,), fields=",".join(_TOLD))

    async def fetch_media(self, *, organization_id: UUID, instance_id: str, media_id: str) -> Stored:
        """Fetch a contact's file into the media store; raises ``MediaUnavailable``."""
        try:
            number = await self._number(organization_id, instance_id)
        except SendError as error:
            raise MediaUnavailable(str(error), again=True) from error
        return await download(self._graph, self._store, number, organization_id=organization_id, media_id=media_id)

    async def _number(self, organization_id: UUID, instance_id: str) -> CloudNumber:
        try:
            number = await self._credentials(organization_id=organization_id, instance_id=instance_id)
        except SendError:
            raise
        except Exception as error:  # whatever it is: nothing was sent, so nothing is in doubt
            raise SendError(
                f"the number's access token could not be read: {type(error).__name__}",
                scope=Scope.NUMBER,
                action=Action.RETRY,
                code="credentials_unavailable",
                retry_after_ms=_AGAIN_MS,
            ) from error
        if number is None:
            raise SendError(
                f"number {instance_id!r} has no access token",
                scope=Scope.NUMBER,
                action=Action.HOLD,
                code="no_access_token",
                remedy="give it one: berrante cloud connect",
            )
        return number
