"""Who is asking, and what they may: an organization's API key, or a person who logged in.

A key travels in ``Authorization: Bearer`` or ``X-API-Key``; a person's access token as Bearer too, or in the cookie
that ``/login`` sets. With the cookie, whatever changes something needs ``X-CSRF-Token``.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import quote
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from berrante.messaging.api_keys import ApiKey
from berrante.messaging.audit import Actor
from berrante.messaging.errors import Missing
from berrante.messaging.people import ROLE_SCOPES, Person, Role
from berrante.web import cookies, rates, request_id
from berrante.web.errors import WebError
from berrante.web.scopes import scope_of
from berrante.web.services import services
from berrante.web.tokens import Tokens

# Both only describe themselves in the OpenAPI document: with auto_error they would answer in another form than ours.
_bearer = HTTPBearer(
    auto_error=False, scheme_name="bearer", description="An organization's API key, or a person's access token."
)
_header = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="key", description="An organization's API key.")
_KEY_MARK: Final = "brt_"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FOR: Final = "X-Organization-Id"


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """What a request proved: a key, or a person in a session, perhaps by a cookie that the browser sent by itself."""

    key: ApiKey | None = None
    person: Person | None = None
    session_id: UUID | None = None
    by_cookie: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who acts in which organization: a key, or a person with a role; ``actor`` is for the audit log."""

    id: UUID
    name: str
    organization_id: UUID
    scopes: frozenset[str]
    actor: Actor
    role: Role | None = None
    key: ApiKey | None = None
    person: Person | None = None

    def need(self, scope: str) -> None:
        """Raise a 403 unless the caller has the scope."""
        if scope not in self.scopes:
            who = "this API key" if self.key else f"the role {self.role!s}"
            raise WebError(403, "scope_missing", f"{who} has no scope {scope!r}", details={"scope": scope})


async def identity(
    request: Request,
    _described: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    _too: Annotated[str | None, Depends(_header)],
) -> Identity:
    """Return who the request proves to come from (a dependency)."""
    return await identity_of(request)


async def identity_of(request: Request) -> Identity:
    """Return who the request proves to come from; 401 if it proves nothing, 403 without a needed CSRF token."""
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    bearer = bearer.strip() if scheme.lower() == "bearer" else ""
    secret = bearer or request.headers.get("X-API-Key", "")
    if secret and (not bearer or secret.startswith(_KEY_MARK)):
        key = await services(request).api_keys.verify(secret)
        if key is None:
            raise _unauthorized("this API key is not known, was revoked, or expired", invalid=True)
        if not key.admits(address_of(request)):
            raise WebError(403, "address_not_allowed", f"this API key may not be used from {address_of(request)}")
        return Identity(key=key)
    if secret:
        return await _in_session(request, secret, by_cookie=False)
    if cookie := request.cookies.get(cookies.ACCESS):
        return await _in_session(request, cookie, by_cookie=True)
    raise _unauthorized("nobody is named: send 'Authorization: Bearer' with an API key or an access token, or log in")


async def _in_session(request: Request, token: str, *, by_cookie: bool) -> Identity:
    session_id = tokens_of(request).session_of(token)
    person = await services(request).sessions.person(session_id) if session_id else None
    if person is None or session_id is None:
        raise _unauthorized("this access token is malformed or expired, or its session ended", invalid=True)
    found = Identity(person=person, session_id=session_id, by_cookie=by_cookie)
    if by_cookie and request.method not in _SAFE and not proves_origin(request, session_id):
        raise WebError(403, "csrf", f"send the cookie {cookies.CSRF} again in the header X-CSRF-Token")
    return found


def proves_origin(request: Request, session_id: UUID) -> bool:
    """Tell whether a request with cookies was made by a page of ours, and not by another site's.

    Pages of ours show the CSRF cookie in a header. Pages that we serve but did not write (Bull Board) cannot; there the
    browser itself says in ``Sec-Fetch-Site`` that the request is the same origin's, which no site can forge.
    """
    shown, kept = request.headers.get("X-CSRF-Token"), request.cookies.get(cookies.CSRF)
    if shown is not None:
        return shown == kept and tokens_of(request).csrf_matches(session_id, shown)
    return not request.url.path.startswith("/v1/") and request.headers.get("Sec-Fetch-Site") == "same-origin"


async def caller(request: Request, who: Annotated[Identity, Depends(identity)]) -> Caller:
    """Return the caller in their organization; 403 unless they have the scope of the route's path."""
    found = await _caller(request, who)
    await rates.admit(request, found.id, found.organization_id)
    path: str = request.url.path
    scope = scope_of(request.method, path)
    if scope is not None:
        found.need(scope)
    elif path.startswith("/v1/"):
        raise WebError(403, "forbidden", "no scope opens this route to an organization")
    return found


async def caller_of(request: Request) -> Caller:
    """Return the caller in their organization, whatever scopes they have; raises ``WebError`` like the route would."""
    return await _caller(request, await identity_of(request))


async def _caller(request: Request, who: Identity) -> Caller:
    if who.key is not None:
        return Caller(
            id=who.key.id,
            name=who.key.name,
            organization_id=who.key.organization_id,
            scopes=frozenset(who.key.scopes),
            actor=actor_of(request, who),
            key=who.key,
        )
    person = who.person
    assert person is not None
    return Caller(
        id=person.id,
        name=person.name or person.email,
        organization_id=person.organization_id or await _chosen_organization(request),
        scopes=ROLE_SCOPES[person.role],
        actor=actor_of(request, who),
        role=person.role,
        person=person,
    )


async def _chosen_organization(request: Request) -> UUID:
    """Return the organization that the platform's owner acts for."""
    given = request.headers.get(_FOR)
    if given is None:
        raise WebError(422, "organization_needed", f"the platform's owner names an organization in the header {_FOR}")
    try:
        organization = await services(request).organizations.get(UUID(given))
    except ValueError:
        organization = None
    if organization is None:
        raise Missing("organization", given[:60])
    return organization.id


def require_scope(scope: str) -> Any:  # noqa: ANN401  FastAPI's own type of a dependency
    """Return a dependency that yields the ``Caller``, or answers 403 unless they have the scope.

    Example::

        @router.get("/messages")
        async def list_messages(caller: Annotated[Caller, require_scope("messages.read")]) -> …
    """

    async def scoped(found: Annotated[Caller, Depends(caller)]) -> Caller:
        found.need(scope)
        return found

    return Depends(scoped)


async def platform_owner(
    request: Request,
    _described: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    _too: Annotated[str | None, Depends(_header)],
) -> Person:
    """Return the platform's owner (a dependency)."""
    return await owner_of(request)


async def owner_of(request: Request) -> Person:
    """Return the platform's owner, whatever kind of app asks.

    All others get 401 or 403; a browser that opens a page is sent to log in first (303 with a Location).
    """
    try:
        who = await identity_of(request)
    except WebError as error:
        if error.status == 401 and _opens_a_page(request):
            path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            to = {"Location": f"/auth/continue?next={quote(path, safe='')}"}
            raise WebError(303, "login_needed", "log in at /login", headers=to) from None
        raise
    if who.person is None or not who.person.is_platform_owner:
        raise WebError(403, "forbidden", "this is for the platform's owner alone")
    return who.person


def _opens_a_page(request: Request) -> bool:
    return (
        request.method in {"GET", "HEAD"}
        and "text/html" in request.headers.get("Accept", "")
        and request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
    )


def actor_of(request: Request, who: Identity) -> Actor:
    """Say who acts, from where, for the audit log."""
    about = {
        "address": address_of(request),
        "user_agent": request.headers.get("User-Agent"),
        "request_id": request_id.current.get(),
    }
    if who.key is not None:
        return Actor(kind="key", id=who.key.id, name=f"{who.key.name} ({who.key.prefix}…)", **about)
    assert who.person is not None
    return Actor(kind="person", id=who.person.id, name=who.person.email, **about)


def address_of(request: Request) -> str:
    """Return the caller's address; a proxy's word for it counts if the proxy is trusted (settings)."""
    return request.client.host if request.client else "unknown"


def tokens_of(request: Request) -> Tokens:
    """Return what signs this process's tokens."""
    tokens: Tokens = request.app.state.tokens
    return tokens


def _unauthorized(message: str, *, invalid: bool = False) -> WebError:
    challenge = 'Bearer error="invalid_token"' if invalid else "Bearer"
    return WebError(401, "unauthorized", message, headers={"WWW-Authenticate": challenge})


CurrentIdentity = Annotated[Identity, Depends(identity)]
CurrentCaller = Annotated[Caller, Depends(caller)]
#: The name that routes of an organization use: a key, or a person with the scopes of their role.
CurrentKey = CurrentCaller
PlatformOwner = Annotated[Person, Depends(platform_owner)]

__all__ = [
    "Caller",
    "CurrentCaller",
    "CurrentIdentity",
    "CurrentKey",
    "Identity",
    "PlatformOwner",
    "actor_of",
    "address_of",
    "identity_of",
    "owner_of",
    "require_scope",
    "tokens_of",
]
