"""The gateway: sends through the sidecar, and says what its refusals mean."""

import hashlib
import ssl
import time
from collections.abc import Callable
from typing import Any, ClassVar, Final
from uuid import UUID

import httpx

from berrante.gateways.baileys import new_chats
from berrante.gateways.baileys.downloads import download
from berrante.gateways.baileys.hosts import MediaHosts
from berrante.gateways.baileys.refusals import held, refused
from berrante.gateways.baileys.sidecars import Sidecars
from berrante.gateways.baileys.uploads import Uploads
from berrante.gateways.baileys.wire import Json, whatsapp_message
from berrante.gateways.media import MediaStore, Stored
from berrante.gateways.protocol import Accepted, InDoubt, MediaContent, OutboundMessage, SendError

_AWAY_MS: Final = 2_000
_UNPAIRED_MS: Final = 30_000
_TOKEN_MS: Final = 60_000


class BaileysGateway:
    """Sends over Baileys.

    The wire id is the message's id in WhatsApp, and a phone shows an id once. So whatever happens between us and
    WhatsApp (sidecar killed, link broken, no answer), the number is held and the same id is sent again.
    """

    name: ClassVar[str] = "baileys"
    resend_is_safe: ClassVar[bool] = True

    def __init__(
        self,
        sidecars: Sidecars,
        store: MediaStore,
        *,
        is_cold: new_chats.IsCold,
        trust: ssl.SSLContext | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Set up; ``trust`` is another authority than the public ones for the media host, for tests."""
        self._sidecars = sidecars
        self._store = store
        self._is_cold = is_cold
        self._clock = clock
        self._hosts = MediaHosts(sidecars, trust=trust)
        self._uploads = Uploads(self._hosts, store, clock=clock)

    async def close(self) -> None:
        """Close the connections to the media hosts."""
        await self._uploads.close()
        await self._hosts.client.aclose()

    def wire_id(self, message_id: UUID) -> str:
        """Return an id in the shape that Baileys itself makes: ``3EB0`` and 18 hexadecimal digits."""
        return "3EB0" + hashlib.sha256(message_id.bytes).hexdigest()[:18].upper()

    async def send(self, message: OutboundMessage) -> Accepted:
        """Send, and return once WhatsApp acknowledged.

        Raises ``SendError``; ``InDoubt`` only when WhatsApp stayed silent about one message again and again.
        """
        content = message.content
        file: Json | None = None
        if isinstance(content, MediaContent):
            file = await self._uploads.described(message.organization_id, message.instance_id, content)
        given: Json = {"id": message.wire_id, "to": message.to, "content": whatsapp_message(message, file)}
        if message.quoted is not None:
            given["quotes_us"] = message.quoted.ours
        response = await self._ask(message, given)
        if told := _limits(response):
            response = await self._ask(message, given | await self._temperature(message, told))
        if response.status_code == httpx.codes.OK:
            accepted = response.json()
            return Accepted(provider_id=accepted["id"], accepted_at_ms=accepted["accepted_at_ms"])
        raise _error(response)

    async def fetch_media(self, *, organization_id: UUID, instance_id: str, media_id: str) -> Stored:
        """Fetch a contact's file into the media store; raises ``MediaUnavailable``."""
        return await download(
            self._hosts, self._store, organization_id=organization_id, instance_id=instance_id, media_id=media_id
        )

    async def _ask(self, message: OutboundMessage, given: Json) -> httpx.Response:
        try:
            return await self._sidecars.send(message.instance_id, given, organization_id=message.organization_id)
        except httpx.TransportError as error:
            reason = f"the sidecar did not answer ({type(error).__name__}); the same id is sent again"
            raise held(reason, code="sidecar_away", for_ms=_AWAY_MS) from error

    async def _temperature(self, message: OutboundMessage, told: Json) -> Json:
        """Say whether the message goes to a stranger; raises ``SendError`` if none may be written to."""
        is_cold = await self._is_cold(
            organization_id=message.organization_id, instance_id=message.instance_id, address=message.to
        )
        if not is_cold:
            return {"is_cold": False}
        stopped = new_chats.stop(told, now_ms=self._clock())
        if stopped is not None:
            raise stopped
        # A quota that ended is none until WhatsApp names the next.
        most = new_chats.most(told)
        return {"is_cold": True} | ({"most": most} if most is not None and most > told["used"] else {})


def _limits(response: httpx.Response) -> Json | None:
    """Return what WhatsApp told of writing to strangers, if the sidecar asks whether this is one."""
    if response.status_code != httpx.codes.CONFLICT:
        return None
    said: Json = response.json()["error"]
    return said["new_chats"] if said["code"] == "is_it_cold" else None


def _error(response: httpx.Response) -> SendError | InDoubt:
    said: dict[str, Any] = response.json().get("error", {})
    text = str(said.get("message", ""))
    match response.status_code:
        case httpx.codes.CONFLICT:
            return refused(said)
        case httpx.codes.GATEWAY_TIMEOUT:
            return InDoubt(text)
        case httpx.codes.NOT_FOUND:
            return held("the number was never connected: connect it", code="not_paired", for_ms=_UNPAIRED_MS)
        case httpx.codes.UNAUTHORIZED:
            reason = "the sidecar has another token: give both the same BERRANTE_BAILEYS_TOKEN"
            return held(reason, code="sidecar_token", for_ms=_TOKEN_MS)
        case status:
            return held(f"the sidecar answers {status}: {text}", code="sidecar_away", for_ms=_AWAY_MS)
