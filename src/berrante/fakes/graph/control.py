"""What may be ordered of the stand-in over HTTP, under ``/_fake``: JSON in, JSON out."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from berrante.fakes.graph.orders import Fault, Order
from berrante.fakes.graph.webhooks import Manners

if TYPE_CHECKING:
    from berrante.fakes.graph.server import FakeGraph

_Endpoint = Callable[[Request], Awaitable[Response]]


def routes(fake: "FakeGraph") -> list[Route]:
    """Return the routes.

    ``POST /_fake/fail {code | fault, count?, to?, late?}``
    ``POST /_fake/write {phone_number_id, sender, text, name?}``
    ``POST /_fake/update {field, value}`` · ``POST /_fake/tokens {token: valid}`` · ``POST /_fake/webhooks {batch?, …}``
    ``GET /_fake/ledger`` · ``POST /_fake/recover``
    """

    async def fail(request: Request) -> Response:
        given = await request.json()
        fault = Fault(given["fault"]) if "fault" in given else None
        fake.orders.add(
            Order(
                left=int(given.get("count", 1)),
                code=given.get("code"),
                fault=fault,
                to=given.get("to"),
                late=bool(given.get("late", False)),
            )
        )
        return JSONResponse({"ordered": True})

    async def write(request: Request) -> Response:
        given = await request.json()
        return JSONResponse({"id": fake.write(given.pop("phone_number_id"), sender=given.pop("sender"), **given)})

    async def update(request: Request) -> Response:
        given = await request.json()
        fake.update(given["field"], **given["value"])
        return JSONResponse({"told": True})

    async def tokens(request: Request) -> Response:
        fake.world.tokens.update({str(token): bool(valid) for token, valid in (await request.json()).items()})
        return JSONResponse({"tokens": len(fake.world.tokens)})

    async def webhooks(request: Request) -> Response:
        given = await request.json()
        for each in fields(Manners):
            if each.name in given:
                value = given[each.name]
                setattr(fake.webhooks.manners, each.name, tuple(value) if each.name == "receipts" else value)
        if not fake.webhooks.manners.held:
            fake.webhooks.release()
        return JSONResponse(asdict(fake.webhooks.manners))

    async def ledger(_: Request) -> Response:
        chats = [
            {"phone_number_id": number, "contact": contact, "seen": [asdict(each) for each in seen]}
            for (number, contact), seen in fake.world.ledger.items()
        ]
        return JSONResponse({"chats": chats, "read": fake.world.read})

    async def recover(_: Request) -> Response:
        fake.orders.clear()
        return JSONResponse({"recovered": True})

    posts: dict[str, _Endpoint] = {
        "fail": fail,
        "write": write,
        "update": update,
        "tokens": tokens,
        "webhooks": webhooks,
        "recover": recover,
    }
    made = [Route(f"/_fake/{name}", _explained(endpoint), methods=["POST"]) for name, endpoint in posts.items()]
    return [*made, Route("/_fake/ledger", ledger)]


def _explained(endpoint: _Endpoint) -> _Endpoint:
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except (KeyError, TypeError, ValueError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, status_code=422)

    return answer
