"""The stand-in itself: a small ASGI app, and what a test or an operator may order of it."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from berrante.fakes.graph.control import routes as control_routes
from berrante.fakes.graph.orders import Fault, Order, Orders, error_body, title_of
from berrante.fakes.graph.webhooks import Webhooks
from berrante.fakes.graph.world import Json, World, contact_of

_TYPES: Final = frozenset(
    {
        *("text", "template", "interactive", "location", "contacts", "reaction"),
        *("image", "video", "audio", "document", "sticker"),
    }
)
_MOST_BYTES: Final = 100 * 1024 * 1024


class FakeGraph:
    """A Graph with one app; ``app`` is served by any ASGI server, and ``delivering()`` calls webhooks meanwhile.

    Example::

        fake = FakeGraph(app_secret="s", webhook_url="http://127.0.0.1:8000/webhooks/whatsapp/shop")
        fake.add_number("10", token="t")
        fake.fail_next(131048)
    """

    def __init__(
        self,
        *,
        app_secret: str,
        webhook_url: str | None = None,
        account: str = "9000",
        world: World | None = None,
        client: httpx.AsyncClient | None = None,
        seed: int = 0,
    ) -> None:
        self.world = world or World()
        self.orders = Orders()
        self.requests: list[Json] = []
        self._client = client or httpx.AsyncClient(timeout=10)
        self.webhooks = Webhooks(
            self._client,
            url=webhook_url,
            app_secret=app_secret,
            account=account,
            luck=random.Random(seed),  # noqa: S311
        )
        self.account = account
        self.app = Starlette(
            routes=[
                *control_routes(self),
                Route("/_files/{file_id}", self._file),
                Route("/{version}/{phone_number_id}/messages", self._messages, methods=["POST"]),
                Route("/{version}/{phone_number_id}/media", self._media, methods=["POST"]),
                Route("/{version}/{node_id}", self._node),
            ]
        )

    @asynccontextmanager
    async def delivering(self) -> AsyncIterator[None]:
        """Deliver webhooks for the time of the block."""
        task = asyncio.create_task(self.webhooks.run(), name="fake-graph-webhooks")
        try:
            yield
        finally:
            task.cancel()
            ended = await asyncio.gather(task, return_exceptions=True)
            await self._client.aclose()
        for error in ended:
            if isinstance(error, Exception):
                raise error

    def add_number(self, phone_number_id: str, *, token: str, display: str = "+55 11 4000-0000") -> None:
        """Have a number, and a token that may use it."""
        self.world.numbers[phone_number_id] = display
        self.world.tokens[token] = True

    def fail_next(self, code: int, count: int = 1, *, to: str | None = None, late: bool = False) -> None:
        """Refuse the next sends (to that contact, if given) with Meta's code; ``late`` as a status after accepting."""
        self.orders.add(Order(left=count, code=code, to=to, late=late))

    def break_next(self, fault: Fault, count: int = 1, *, to: str | None = None) -> None:
        """Let the next sends meet a broken connection."""
        self.orders.add(Order(left=count, fault=fault, to=to))

    def write(
        self,
        phone_number_id: str,
        *,
        sender: str,
        text: str | None = None,
        name: str = "",
        **message: Any,  # noqa: ANN401
    ) -> str:
        """Let a contact write (a text, or a ``type`` with its object), and return WhatsApp's id of the message.

        A ``sender`` with a dot is a business-scoped user id, whose number is hidden.
        """
        id_ = self.world.new_id("wamid.IN")
        hidden = "." in sender
        self.world.wrote(phone_number_id, sender)
        self.world.incoming.add(id_)
        content = {"type": "text", "text": {"body": text}} if text is not None else message
        self._tell(
            phone_number_id,
            contacts=[{"profile": {"name": name}, **({"user_id": sender} if hidden else {"wa_id": sender})}],
            messages=[
                {
                    ("from_user_id" if hidden else "from"): sender,
                    "id": id_,
                    "timestamp": str(self.world.clock() // 1_000),
                    **content,
                }
            ],
        )
        return id_

    def status(self, phone_number_id: str, **status: Any) -> None:  # noqa: ANN401
        """Have one status delivered, whatever it says."""
        self._tell(phone_number_id, statuses=[status])

    def update(self, field: str, **value: Any) -> None:  # noqa: ANN401
        """Have an update of the account, of a template or of a number's quality delivered."""
        self.webhooks.put(field, value)

    def _tell(self, phone_number_id: str, **value: list[Json]) -> None:
        metadata = {
            "display_phone_number": self.world.numbers.get(phone_number_id, ""),
            "phone_number_id": phone_number_id,
        }
        self.webhooks.put("messages", {"messaging_product": "whatsapp", "metadata": metadata, **value})

    async def _messages(self, request: Request) -> Response:
        refused = self._unauthorized(request, request.path_params["phone_number_id"])
        if refused is not None:
            return refused
        body = await request.json()
        phone_number_id = request.path_params["phone_number_id"]
        self.requests.append(body)
        if body.get("status") == "read":
            return self._read(body)
        code, why = _fault_of(body)
        if code:
            return _refusal(code, why)
        order = self.orders.take(contact_of(body))
        if order is not None and order.code is not None and not order.late:
            return _refusal(order.code, "ordered")
        if order is not None and order.fault is Fault.LOST_REQUEST:
            return _CutOff()
        return await self._accept(phone_number_id, body, order)

    def _read(self, body: Json) -> Response:
        if body.get("message_id") not in self.world.incoming:
            return _refusal(100, f"there is no message {body.get('message_id')}")
        if body.get("typing_indicator", {"type": "text"}) != {"type": "text"}:
            return _refusal(100, "typing_indicator.type has to be text")
        self.world.read.append(body)
        return JSONResponse({"success": True})

    async def _accept(self, phone_number_id: str, body: Json, order: Order | None) -> Response:
        late = order.code if order is not None else None
        is_closed = not self.world.is_open(phone_number_id, contact_of(body)) and body.get("type") != "template"
        if late is None and self.world.enforces_window and is_closed:
            late = 131047
        if late is None:
            seen_id = self.world.show(phone_number_id, body).id
            self._receipts(phone_number_id, body, seen_id)
        else:
            seen_id = self.world.new_id("wamid.FAKE")
            self._receipt(phone_number_id, body, seen_id, "failed", code=late)
        match order.fault if order is not None else None:
            case Fault.LOST_ANSWER:
                return _CutOff()
            case Fault.SILENCE:
                await asyncio.Event().wait()
            case Fault.BAD_GATEWAY:
                return Response("<html>Bad Gateway</html>", status_code=502, media_type="text/html")
            case _:
                pass
        contact = contact_of(body)
        return JSONResponse(
            {
                "messaging_product": "whatsapp",
                "contacts": [{"input": contact, "wa_id": contact}],
                "messages": [{"id": seen_id, "message_status": "accepted"}],
            }
        )

    def _receipts(self, phone_number_id: str, body: Json, id_: str) -> None:
        for status in self.webhooks.manners.receipts:
            self._receipt(phone_number_id, body, id_, status)

    def _receipt(self, phone_number_id: str, body: Json, id_: str, status: str, *, code: int | None = None) -> None:
        told: Json = {
            "id": id_,
            "status": status,
            "timestamp": str(self.world.clock() // 1_000),
            "recipient_id": contact_of(body),
            "pricing": {"billable": True, "pricing_model": "PMP", "category": "service", "type": "regular"},
        }
        if "biz_opaque_callback_data" in body:
            told["biz_opaque_callback_data"] = body["biz_opaque_callback_data"]
        if code is not None:
            title = title_of(code)[1]
            told["errors"] = [{"code": code, "title": title, "message": title, "error_data": {"details": "ordered"}}]
        self._tell(phone_number_id, statuses=[told])

    async def _media(self, request: Request) -> Response:
        refused = self._unauthorized(request, request.path_params["phone_number_id"])
        if refused is not None:
            return refused
        async with request.form(max_part_size=_MOST_BYTES) as form:
            file = form.get("file")
            if file is None or isinstance(file, str):
                return _refusal(100, "there is no file")
            self.world.uploads += 1
            id_ = self.world.keep(await file.read(), file.content_type or "application/octet-stream")
        return JSONResponse({"id": id_})

    async def _node(self, request: Request) -> Response:
        refused = self._unauthorized(request)
        if refused is not None:
            return refused
        id_ = request.path_params["node_id"]
        if id_ in self.world.numbers:
            told = {"id": id_, "display_phone_number": self.world.numbers[id_], "quality_rating": "GREEN"}
            told["whatsapp_business_manager_messaging_limit"] = self.world.tier
            wanted = request.query_params.get("fields", "display_phone_number,quality_rating").split(",")
            return JSONResponse({name: told[name] for name in told if name in {"id", *wanted}})
        file = self.world.files.get(id_)
        if file is None:
            return _refusal(100, f"there is no {id_}")
        url = f"{request.base_url}_files/{id_}"
        return JSONResponse({"messaging_product": "whatsapp", "url": url, "mime_type": file.mime_type, "id": id_})

    async def _file(self, request: Request) -> Response:
        refused = self._unauthorized(request)
        if refused is not None:
            return refused
        file = self.world.files.get(request.path_params["file_id"])
        return Response(status_code=404) if file is None else Response(file.data, media_type=file.mime_type)

    def _unauthorized(self, request: Request, phone_number_id: str | None = None) -> Response | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not self.world.tokens.get(token, False):
            return _refusal(190, "the token is not known, or has expired")
        if phone_number_id is not None and phone_number_id not in self.world.numbers:
            return _refusal(33, f"there is no number {phone_number_id}")
        return None


class _CutOff(Response):
    """An answer that ends in the middle."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  the protocol's
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"messaging_product"', "more_body": False})


def _fault_of(body: Json) -> tuple[int, str]:
    """Return the code that a malformed message gets, and why; 0 if it is well formed."""
    if body.get("messaging_product") != "whatsapp":
        return 100, "messaging_product has to be whatsapp"
    if not contact_of(body):
        return 131008, "to is missing"
    type_ = body.get("type", "text")
    if type_ not in _TYPES:
        return 131051, f"type {type_} is not known"
    if not isinstance(body.get(type_), dict | list):
        return 131008, f"{type_} is missing"
    if type_ == "text" and not 1 <= len(str(body["text"].get("body", ""))) <= 4_096:
        return 131009, "text.body has to have 1 to 4096 characters"
    return 0, ""


def _refusal(code: int, details: str) -> Response:
    return JSONResponse(error_body(code, details), status_code=title_of(code)[0])
