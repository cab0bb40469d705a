"""The gateway: sends through the sidecar, and says what its refusals mean."""

import hashlib
from typing import Any, ClassVar, Final
from uuid import UUID

import httpx

from berrante.gateways.baileys.sidecars import Sidecars
from berrante.gateways.protocol import Accepted, Action, InDoubt, OutboundMessage, Scope, SendError, TextContent

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

    def __init__(self, sidecars: Sidecars) -> None:
        self._sidecars = sidecars

    def wire_id(self, message_id: UUID) -> str:
        """Return an id in the shape that Baileys itself makes: ``3EB0`` and 18 hexadecimal digits.

        >>> BaileysGateway(Sidecars(["http://127.0.0.1:8790"], token="t")).wire_id(UUID(int=1))
        '3EB07C3CCD10BB7EC37B46'
        """
        return "3EB0" + hashlib.sha256(message_id.bytes).hexdigest()[:18].upper()

    async def send(self, message: OutboundMessage) -> Accepted:
        """Send, and return once WhatsApp acknowledged.

        Raises ``SendError``; ``InDoubt`` only when WhatsApp stayed silent about one message again and again.
        """
        if not isinstance(message.content, TextContent):
            reason = (
                f"a number on Baileys sends text alone, not {message.content.type}: send a text, or use another number"
            )
            raise SendError(reason, scope=Scope.MESSAGE, action=Action.DROP, code="131051")
        try:
            response = await self._sidecars.send(
                message.instance_id,
                {
                    "organization_id": str(message.organization_id),
                    "id": message.wire_id,
                    "to": message.to,
                    "content": {"type": "text", "text": message.content.body},
                },
            )
        except httpx.TransportError as error:
            reason = f"the sidecar did not answer ({type(error).__name__}); the same id is sent again"
            raise _held(reason, code="sidecar_away", for_ms=_AWAY_MS) from error
        if response.status_code == httpx.codes.OK:
            accepted = response.json()
            return Accepted(provider_id=accepted["id"], accepted_at_ms=accepted["accepted_at_ms"])
        raise _error(response)


def _error(response: httpx.Response) -> SendError | InDoubt:
    said: dict[str, Any] = response.json().get("error", {})
    text = str(said.get("message", ""))
    match response.status_code:
        case httpx.codes.CONFLICT:
            return SendError(
                text,
                scope=Scope(said["scope"]),
                action=Action(said["action"]),
                code=said["code"],
                retry_after_ms=said.get("retry_after_ms"),
            )
        case httpx.codes.GATEWAY_TIMEOUT:
            return InDoubt(text)
        case httpx.codes.NOT_FOUND:
            return _held("the number was never connected: connect it", code="not_paired", for_ms=_UNPAIRED_MS)
        case httpx.codes.UNAUTHORIZED:
            reason = "the sidecar has another token: give both the same BERRANTE_BAILEYS_TOKEN"
            return _held(reason, code="sidecar_token", for_ms=_TOKEN_MS)
        case httpx.codes.UNPROCESSABLE_ENTITY:
            return SendError(text, scope=Scope.MESSAGE, action=Action.DROP, code="invalid")
        case status:
            return _held(f"the sidecar answers {status}: {text}", code="sidecar_away", for_ms=_AWAY_MS)


def _held(message: str, *, code: str, for_ms: int) -> SendError:
    return SendError(message, scope=Scope.NUMBER, action=Action.HOLD, code=code, retry_after_ms=for_ms)
