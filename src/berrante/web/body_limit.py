"""Ends requests whose body is larger than any of ours, before it is read: 413 with the limit."""

from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from berrante.web.errors import answer

#: Bytes of a JSON body; the longest text that WhatsApp takes is a sixtieth of it.
MAX_JSON: Final = 256 * 1024
#: Routes with limits of their own, checked as they read.
_OWN_LIMITS: Final = ("/webhooks/", "/v1/contacts/imports")


class BodyLimit:
    """Counts the bytes of each body, whatever its Content-Length said."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_OWN_LIMITS):
            await self._app(scope, receive, send)
            return
        too_large = answer(413, "body_too_large", f"the body has more than {MAX_JSON} bytes")
        announced = dict(scope["headers"]).get(b"content-length", b"")
        if announced.isdigit() and int(announced[:20]) > MAX_JSON:
            await too_large(scope, receive, send)
            return
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > MAX_JSON:
                raise ClientDisconnect  # whoever reads stops; what it answers is not sent
            return message

        async def unless_too_large(message: Message) -> None:
            if size <= MAX_JSON:
                await send(message)

        try:
            await self._app(scope, counted, unless_too_large)
        except ClientDisconnect:
            if size <= MAX_JSON:
                raise
        if size > MAX_JSON:
            await too_large(scope, receive, send)
