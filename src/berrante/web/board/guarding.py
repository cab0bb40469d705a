"""Who may see the board, and that a write comes from its own page."""

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

from starlette._utils import get_route_path
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from berrante.web.board.errors import BoardError

#: The UI's HTTP client copies this cookie into the header below, on its own pages and on no others.
XSRF_COOKIE: Final = "XSRF-TOKEN"
XSRF_HEADER: Final = "X-XSRF-TOKEN"
_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="Berrante", charset="UTF-8"'}
_REMEMBERED_S: Final = 60.0
_REMEMBERED: Final = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """The platform's owner who is asking: what the audit log says of them."""

    id: str
    name: str


#: Lets the owner in, or answers the request itself; ``refusal`` makes such an answer.
Guard = Callable[[Request], Awaitable[Identity | Response]]
#: Called before each write with who, what (such as ``job.retry``), the queue and the job's id.
OnWrite = Callable[[Identity, str, str | None, str | None], Awaitable[None]]


class Somebody(Protocol):
    """A person, as far as the board cares."""

    @property
    def email(self) -> str: ...
    @property
    def is_platform_owner(self) -> bool: ...


class Verifier(Protocol):
    """Knows people by their password."""

    async def verify(self, email: str, password: str) -> Somebody | None: ...


def is_api(request: Request) -> bool:
    """Tell whether a program asks, and not a person's address bar."""
    return get_route_path(request.scope).startswith("/api/")


def refusal(
    request: Request, *, status: int, login: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    """Turn a request away: the API in Bull Board's form, a page by going to ``login``, or plainly.

    ``status`` is 401 for nobody, 403 for somebody who may not.
    """
    if is_api(request):
        what = "log in as the platform's owner" if status == 401 else "this is for the platform's owner"
        return BoardError(status, "FORBIDDEN", message=what, headers=headers).response()
    if login is not None and status == 401:
        return RedirectResponse(login, status_code=303, headers={"Cache-Control": "no-store"})
    text = "Log in as the platform's owner.\n" if status == 401 else "This page is for the platform's owner.\n"
    return PlainTextResponse(text, status_code=status, headers={"Cache-Control": "no-store"} | (headers or {}))


def check_same_origin(request: Request) -> None:
    """Refuse a write that another site's page may have sent; raises ``BoardError`` 403.

    Either the browser says where it comes from, or it is a program; and always the cookie has to stand in the header,
    which another site can neither read nor send.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None and site != "same-origin":
        raise _foreign(f"the request comes from another site (Sec-Fetch-Site: {site})")
    if site is None and origin is not None and urlsplit(origin).netloc != request.headers.get("Host"):
        raise _foreign("the request comes from another site (Origin)")
    cookie, header = request.cookies.get(XSRF_COOKIE, ""), request.headers.get(XSRF_HEADER, "")
    if not cookie or not hmac.compare_digest(cookie.encode(), header.encode()):
        raise _foreign(f"send the cookie {XSRF_COOKIE} in the header {XSRF_HEADER} too: reload the page")


def give_token(request: Request, response: Response) -> None:
    """Give a page the token that its writes are to carry, unless a login gave one already."""
    if not request.cookies.get(XSRF_COOKIE):
        secure = request.url.scheme == "https"
        # Not HttpOnly: the page has to read it.
        response.set_cookie(XSRF_COOKIE, secrets.token_urlsafe(24), path="/", samesite="strict", secure=secure)


class OwnerByPassword:
    """A guard that asks for the owner's e-mail address and password by HTTP Basic.

    A password that was right is remembered for a minute, as a digest under a key of this process: the page asks every
    few seconds, and to check a password takes some 50 ms on purpose.
    """

    def __init__(self, people: Verifier, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._people = people
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._known: dict[bytes, tuple[float, Identity]] = {}

    async def __call__(self, request: Request) -> Identity | Response:
        given = _credentials(request.headers.get("Authorization", ""))
        if given is None:
            return refusal(request, status=401, headers=_CHALLENGE)
        digest = hmac.digest(self._key, "\0".join(given).encode(), hashlib.sha256)
        until, identity = self._known.get(digest, (0.0, None))
        if identity is not None and self._clock() < until:
            return identity
        person = await self._people.verify(*given)
        if person is None:
            return refusal(request, status=401, headers=_CHALLENGE)
        if not person.is_platform_owner:
            return refusal(request, status=403)
        identity = Identity(id=person.email, name=person.email)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[digest] = (self._clock() + _REMEMBERED_S, identity)
        return identity


def _credentials(header: str) -> tuple[str, str] | None:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        email, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (email, password) if colon else None


def _foreign(message: str) -> BoardError:
    return BoardError(403, "FORBIDDEN", message=message)
