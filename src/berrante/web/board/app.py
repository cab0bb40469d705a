"""The ASGI app behind ``/admin/queues``: guards, reads, answers."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import unquote

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.types import Message, Receive, Scope, Send

from berrante.engine import Queue
from berrante.telemetry import events
from berrante.web.board import errors, health
from berrante.web.board.asked import Answer, Asked, Json
from berrante.web.board.errors import BoardError, invalid
from berrante.web.board.guarding import Guard, Identity, OnWrite, check_same_origin, give_token
from berrante.web.board.options import BoardOptions
from berrante.web.board.page import Assets, Page, have_assets, make_page, missing_page, styles_script
from berrante.web.board.routes import ENDPOINTS, PAGES, Endpoint

#: Tells the queues on the board, by name and in order.
FindQueues = Callable[[], Mapping[str, Queue]]

_NO_STORE: Final = {"Cache-Control": "no-store"}
_MAX_BODY: Final = 5 * 1024 * 1024  # bytes
_SLASH: Final = re.compile(rb"%2f", re.IGNORECASE)
#: Stands for a slash inside an id while paths are taken apart; it is of Unicode's private use, and in no id.
_STAND_IN: Final = "\ue000"
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_NOTHING_INLINE: Final = "default-src 'none'; frame-ancestors 'none'"


class Board:
    """Bull Board over queues of ours. ``find_queues`` is asked at each request and does no I/O."""

    def __init__(self, find_queues: FindQueues, guard: Guard, on_write: OnWrite, options: BoardOptions) -> None:
        self._find_queues = find_queues
        self._guard = guard
        self._on_write = on_write
        self._options = options
        self._page: Page | None = None
        # Static files are npm's, for everybody; all that is ours is behind the guard.
        self._router = Router(
            [
                Mount("/static", Assets()),
                Route("/styles.js", _styles),
                Route("/health", self._health),
                *(Route(path, self._guarded(self._entry)) for path in PAGES),
                *(Route(each.path, self._endpoint(each), methods=[each.method]) for each in ENDPOINTS),
            ],
            redirect_slashes=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        raw: bytes = scope.get("raw_path") or b""
        if _SLASH.search(raw):  # the server decoded it, and an id's slash would look like a path's
            scope = {**scope, "path": unquote(_SLASH.sub(_STAND_IN.encode(), raw).decode("utf-8", "replace"))}
        try:
            await self._router(scope, receive, _with_headers(send))
        except HTTPException as error:
            answer = BoardError(error.status_code, "NOT_FOUND", message=str(error.detail)).response()
            await answer(scope, receive, _with_headers(send))

    async def _entry(self, request: Request, _: Identity) -> Response:
        if not have_assets():
            return missing_page()
        if self._page is None:
            self._page = make_page(self._options.ui_config(), base=f"{request.scope['root_path']}/")
        response = self._page.response()
        give_token(request, response)
        return response

    async def _health(self, request: Request) -> Response:
        wanted = "authorization" in request.headers or request.cookies
        known = isinstance(await self._guard(request), Identity) if wanted else False
        report = await health.report(self._find_queues(), self._options, whole=known)
        status = 200 if report["status"] == "ok" else 503
        return JSONResponse(report, status_code=status, headers=_NO_STORE)

    def _endpoint(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request, identity: Identity) -> Response:
            body = await self._answer(endpoint, request, identity)
            return Response(status_code=204) if body is None else JSONResponse(body, headers=_NO_STORE)

        return self._guarded(answer)

    async def _answer(self, endpoint: Endpoint, request: Request, identity: Identity) -> Answer:
        if endpoint.action:
            check_same_origin(request)
        params = {name: value.replace(_STAND_IN, "/") for name, value in request.path_params.items()}
        asked = Asked(
            queues=self._find_queues(),
            options=self._options,
            params=params,
            query=request.query_params,
            body=await _body(request) if endpoint.action else {},
        )
        name, job_id = params.get("queue"), params.get("job") or params.get("scheduler")
        if endpoint.board:
            if endpoint.action:
                await self._on_write(identity, endpoint.action, None, None)
            return await endpoint.board(asked)
        queue = asked.queues.get(name or "")
        if queue is None:
            raise BoardError(404, "QUEUE_NOT_FOUND")
        if endpoint.action and self._options.is_read_only(queue.name):
            raise BoardError(405, "QUEUE_READ_ONLY")
        job = await queue.get(params["job"]) if endpoint.job else None
        if endpoint.job and job is None:
            raise BoardError(404, "JOB_NOT_FOUND")
        if endpoint.action:
            # Before, not after: whatever happens to this process, no write is without its line.
            await self._on_write(identity, endpoint.action, queue.name, job_id)
        if endpoint.job and job:
            return await endpoint.job(asked, queue, job)
        assert endpoint.queue is not None
        return await endpoint.queue(asked, queue)

    def _guarded(
        self, answer: Callable[[Request, Identity], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            try:
                identity = await self._guard(request)
                return identity if isinstance(identity, Response) else await answer(request, identity)
            except Exception as error:  # noqa: BLE001  the UI can show only its own form of an error
                if told := errors.known(error):
                    return told.response()
                events.REQUEST_FAILED(
                    method=request.method, path=request.scope["path"], error=str(error), exc_info=True
                )
                return errors.unforeseen().response()

        return guarded


async def _styles(_: Request) -> Response:
    return styles_script()


async def _body(request: Request) -> Json:
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > _MAX_BODY:
            raise BoardError(413, "INVALID_REQUEST_BODY", message=f"the body has more than {_MAX_BODY} bytes")
    try:
        return json.loads(raw or b"{}")
    except ValueError as error:
        raise invalid(message="the body is not JSON") from error


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Content-Security-Policy", _NOTHING_INLINE)
        await send(message)

    return sent
