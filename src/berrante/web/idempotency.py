"""``Idempotency-Key`` on every POST under ``/v1``: the same request, sent again, is done once and answered the same.

The key is inserted before the request is done. An answer of 5xx is not kept: the effect may have happened or not, so
the next same request runs again under the same derived id. Nor is one of 429: nothing happened.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from berrante.messaging.errors import MessagingError
from berrante.messaging.idempotency import Begun, Differs, Done, IdempotencyKeys, KeptAnswer, Running
from berrante.messaging.idempotency.service import LEASE
from berrante.telemetry import events
from berrante.web.auth import caller_of
from berrante.web.errors import WebError, answer
from berrante.web.services import services

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"
MAX_BODY: Final = 1024 * 1024  # bytes, of a request and of an answer that is kept
_LONGEST_KEY: Final = 255
_KEPT_HEADERS: Final = ("content-type", "location")
_STATE: Final = "idempotency_id"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asker:
    """Who asks: keys are an organization's, and an answer is told again only to the ``principal`` who had it."""

    organization_id: UUID
    principal: str


Identify = Callable[[Request], Awaitable[Asker | None]]


async def by_caller(request: Request) -> Asker | None:
    """Return who asks, a key or a person, in which organization; None leaves the refusal to the route."""
    try:
        found = await caller_of(request)
    except (WebError, MessagingError):
        return None
    return Asker(organization_id=found.organization_id, principal=str(found.id))


def idempotency_id(request: Request) -> UUID | None:
    """Return the id that the row which this request makes should have; None if the request has no key.

    Use it as the row's id and let a second insert change nothing: then a request whose process was killed after its
    commit is still done once.
    """
    found: UUID | None = request.scope.get("state", {}).get(_STATE)
    return found


class Idempotency:
    """The middleware."""

    def __init__(self, app: ASGIApp, *, identify: Identify = by_caller) -> None:
        self._app = app
        self._identify = identify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let through what carries no key; do what carries one once."""
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        key = request.headers.get(HEADER)
        asker = await self._identify(request) if key is not None else None
        if key is None or asker is None:
            await self._app(scope, receive, send)
            return
        refusal = _unfit(key, request.headers)
        try:
            body = b"" if refusal else await _read(request)
        except ClientDisconnect:  # nothing was begun, and nobody waits for an answer
            return
        if body is None:
            refusal = answer(
                413,
                "idempotency_body_too_large",
                f"a request with {HEADER} may have {MAX_BODY} bytes: send less, or leave the header out",
            )
        if refusal is not None or body is None:
            assert refusal is not None
            await refusal(scope, receive, send)
            return
        keys = services(request).idempotency_keys
        begun = await keys.begin(asker.organization_id, key, fingerprint=_fingerprint(scope, asker, body))
        if not isinstance(begun, Begun):
            await _told(begun)(scope, receive, send)
            return
        scope.setdefault("state", {})[_STATE] = begun.id
        await _Once(self._app, keys, begun, send).do(scope, _replaying(body, receive))


@dataclass(slots=True)
class _Once:
    """One request that is ours to do."""

    app: ASGIApp
    keys: IdempotencyKeys
    begun: Begun
    send: Send
    start: Message | None = None
    body: bytearray = field(default_factory=bytearray)
    settled: bool = False

    async def do(self, scope: Scope, receive: Receive) -> None:
        renewing = asyncio.create_task(self._renew())
        try:
            await self.app(scope, receive, self._answered)
        except Exception:  # whatever it was: it is raised again
            if not self.settled:
                await self.keys.give_up(self.begun)
            raise
        else:
            if not self.settled:  # it never answered
                await self.keys.give_up(self.begun)
        finally:
            # Cancelled, as at a stop: the lease ends by itself, and the next same request takes over.
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def _answered(self, message: Message) -> None:
        """Hold the answer until it is kept: what the caller has seen must be what a second call will see."""
        if message["type"] == "http.response.start":
            self.start = message
            return
        if message["type"] != "http.response.body" or self.settled:
            await self.send(message)
            return
        self.body += message.get("body", b"")
        if message.get("more_body", False):
            return
        assert self.start is not None
        self.settled = True
        await self._settle(self.start)
        await self.send(self.start)
        await self.send({"type": "http.response.body", "body": bytes(self.body)})

    async def _settle(self, start: Message) -> None:
        status: int = start["status"]
        headers = Headers(raw=start["headers"])
        try:
            if status == 429:
                await self.keys.forget_one(self.begun)
            elif status >= 500:
                await self.keys.give_up(self.begun)
            else:
                secret = "no-store" in headers.get("cache-control", "") or len(self.body) > MAX_BODY
                kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
                body = None if secret else bytes(self.body)
                await self.keys.finish(self.begun, KeptAnswer(status=status, headers=kept, body=body))
        except Exception as error:  # noqa: BLE001  it is done: a caller who is told otherwise would do it twice
            events.IDEMPOTENCY_UNSTORED(organization_id=str(self.begun.organization_id), error=str(error))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 3)
            try:
                await self.keys.renew(self.begun)
            except Exception as error:  # noqa: BLE001  the database may be back before the lease ends
                events.IDEMPOTENCY_UNSTORED(organization_id=str(self.begun.organization_id), error=str(error))


def _unfit(key: str, headers: Headers) -> Response | None:
    if not 1 <= len(key) <= _LONGEST_KEY or not key.isascii() or not key.isprintable():
        message = f"{HEADER} is unfit: give 1 to {_LONGEST_KEY} printable ASCII characters, a UUID for instance"
        return answer(400, "idempotency_key_invalid", message, field=HEADER)
    kind = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        message = (
            f"{HEADER} is for JSON: an upload ({kind[:60]!r}) is read as it comes and cannot be compared with a later "
            "one; leave the header out"
        )
        return answer(400, "idempotency_unsupported", message, field=HEADER)
    return None


async def _read(request: Request) -> bytes | None:
    """Return the body, or None if it is too large; raises ``ClientDisconnect``."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def _fingerprint(scope: Scope, asker: Asker, body: bytes) -> bytes:
    head = f"{asker.principal}\n{scope['method']} {scope['path']}?".encode() + scope["query_string"] + b"\n"
    return hashlib.sha256(head + body).digest()


def _replaying(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that gives the body once more, then what the client does: it may hang up."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _told(instead: Done | Running | Differs) -> Response:
    match instead:
        case Differs():
            message = f"{HEADER} was used for another request: give each request a key of its own"
            return answer(409, "idempotency_key_reused", message, field=HEADER)
        case Running(for_s):
            message = f"the same request is being done: ask again in {for_s} s at the latest, with the same {HEADER}"
            return answer(
                409, "concurrent_idempotent_request", message, field=HEADER, headers={"Retry-After": str(min(for_s, 2))}
            )
        case Done(KeptAnswer(body=None) as kept):
            message = f"the request was done and answered {kept.status}; its answer held a secret and was not kept"
            return answer(409, "idempotent_answer_not_kept", message, field=HEADER, headers={REPLAYED: "true"})
        case Done(kept):
            assert kept.body is not None
            response = Response(kept.body, status_code=kept.status)
            replayed = MutableHeaders(raw=response.raw_headers)
            for name, value in {**kept.headers, REPLAYED: "true"}.items():
                replayed[name] = value
            return response


def describe(app: FastAPI) -> None:
    """Name the header on every POST under ``/v1`` in the OpenAPI document."""
    made = app.openapi
    parameter = {
        "name": HEADER,
        "in": "header",
        "required": False,
        "schema": {"type": "string", "minLength": 1, "maxLength": _LONGEST_KEY},
        "description": "Sent again with the same key within 24 hours, the same request is done once.",
    }

    def described() -> dict[str, Any]:
        document = made()
        for path, methods in document["paths"].items():
            operation = methods.get("post")
            if operation is None or not path.startswith("/v1/"):
                continue
            parameters = operation.setdefault("parameters", [])
            if parameter not in parameters:
                parameters.append(parameter)
        return document

    app.openapi = described  # type: ignore[method-assign]
