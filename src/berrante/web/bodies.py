"""Limits of what a request may carry, checked before anything reads it: bytes, and the depth of JSON."""

import re
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from berrante.web import errors

MAX_JSON: Final = 256 * 1024  # bytes; the longest text that WhatsApp takes is a sixtieth of it
MAX_UPLOAD: Final = 65 * 1024 * 1024  # bytes; files of 64 MiB with the form around them, and whatever is no JSON
MAX_DEPTH: Final = 32

#: Meta's webhooks are signed over their bytes and have a limit of their own.
_OWN_LIMIT: Final = "/webhooks/"
# To the end if a string has none: a search that began again at each quote would take the square of the length.
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z)', re.DOTALL)
_NO_BRACKET: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_OPENING: Final = frozenset(b"[{")


class BodyLimits:
    """Answers 413 to a body that is too large and 400 to JSON that is nested too deep."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_OWN_LIMIT):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_json = "json" in headers.get("Content-Type", "json").lower()
        most = MAX_JSON if is_json else MAX_UPLOAD
        announced = headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced[:20]) > most:
            await _too_large(most)(scope, receive, send)
        elif is_json:
            await self._read(scope, receive, send)
        else:
            await self._app(scope, _counted(receive, most), send)

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the whole body, and pass it on as one piece if it is fit."""
        body, more = bytearray(), True
        while more:
            message = await receive()
            if message["type"] != "http.request":  # the client went away
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > MAX_JSON:
                await _too_large(MAX_JSON)(scope, receive, send)
                return
        if depth_of(bytes(body)) > MAX_DEPTH:
            answer = errors.answer(400, "too_deep", f"the JSON is nested more than {MAX_DEPTH} levels deep")
            await answer(scope, receive, send)
            return
        whole: Message | None = {"type": "http.request", "body": bytes(body), "more_body": False}

        async def replayed() -> Message:
            nonlocal whole
            if whole is None:
                return await receive()
            message, whole = whole, None
            return message

        await self._app(scope, replayed, send)


def depth_of(body: bytes) -> int:
    r"""Return how deep the brackets of a JSON text are nested, as far as is of interest: at most one too many.

    >>> depth_of(b'{"a": [1, "]]]{{{", {"b\\"[": []}]}'), depth_of(b"[" * 1000)
    (4, 33)
    """
    depth = deepest = 0
    for byte in _STRING.sub(b"", body).translate(None, _NO_BRACKET):
        depth += 1 if byte in _OPENING else -1
        deepest = max(deepest, depth)
        if deepest > MAX_DEPTH:
            break
    return deepest


def _counted(receive: Receive, most: int) -> Receive:
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise HTTPException(413, _said(most))
        return message

    return counted


def _too_large(most: int) -> ASGIApp:
    return errors.answer(413, "body_too_large", _said(most), headers={"Connection": "close"})


def _said(most: int) -> str:
    return f"the body has more than {most} bytes"
