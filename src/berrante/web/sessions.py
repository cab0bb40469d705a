"""``/auth``: logging in and out, renewing a session, and who one is."""

from typing import Annotated, Final, Literal
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from berrante.messaging.errors import LoginFailed, RefreshRaced, SessionEnded
from berrante.messaging.people import ROLE_SCOPES, Person, Role, Session
from berrante.web import cookies
from berrante.web.auth import CurrentIdentity, actor_of, address_of, tokens_of
from berrante.web.error_model import ERRORS
from berrante.web.errors import WebError
from berrante.web.services import services
from berrante.web.tokens import ACCESS_S

router = APIRouter(prefix="/auth", tags=["auth"], responses=ERRORS)

_LONGEST_TARGET: Final = 2_000
_CHALLENGE: Final = {"WWW-Authenticate": "Bearer"}


class LoginIn(BaseModel):
    """With ``mode`` ``cookie`` the tokens are set as cookies and stay out of the body, for pages in a browser."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"email": "ana@example.com", "password": "correct horse"}]}
    )

    email: str = Field(max_length=320)
    password: SecretStr = Field(max_length=1_024)
    mode: Literal["token", "cookie"] = "token"


class RefreshIn(BaseModel):
    """A refresh token; left out where the cookie has it."""

    refresh_token: SecretStr | None = Field(None, max_length=200)


class PasswordIn(BaseModel):
    """The password that holds, and the one that shall."""

    current_password: SecretStr = Field(max_length=1_024)
    new_password: SecretStr = Field(min_length=8, max_length=1_024)


class PersonOut(BaseModel):
    """Who logged in; ``organization_id`` is null for the platform's owner."""

    id: UUID
    organization_id: UUID | None
    email: str
    name: str | None
    role: Role


class TokensOut(BaseModel):
    """The tokens of a session, null where cookies hold them; ``expires_in`` are the access token's seconds."""

    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  a word
    access_token: str | None
    refresh_token: str | None
    csrf_token: str | None
    expires_in: int
    person: PersonOut


class MeOut(BaseModel):
    """Who is asking: a person, or a key."""

    kind: Literal["person", "key"]
    id: UUID
    name: str
    organization_id: UUID | None
    role: Role | None
    scopes: list[str]


@router.post("/login", summary="Log in")
async def log_in(request: Request, response: Response, given: LoginIn) -> TokensOut:
    """Give a session to whoever knows an account's password; 429 after too many failures, whatever the account."""
    person, session = await opened(request, given.email, given.password.get_secret_value())
    return _given(request, response, person, session, in_cookies=given.mode == "cookie")


@router.post("/refresh", summary="Renew a session")
async def refresh(request: Request, response: Response, given: RefreshIn | None = None) -> TokensOut:
    """Exchange a refresh token, each of which is good once; a second use ends the session."""
    token, in_cookies = _refresh_token(request, given)
    person, session = await renewed(request, token)
    return _given(request, response, person, session, in_cookies=in_cookies)


@router.post("/logout", status_code=204, summary="Log out")
async def log_out(request: Request, response: Response, given: RefreshIn | None = None) -> None:
    """End the session of the refresh token, or of the cookie; 204 also if it was over."""
    token, in_cookies = _refresh_token(request, given)
    await services(request).sessions.end_by(token)
    if in_cookies:
        cookies.take(request, response)


@router.post("/password", status_code=204, summary="Change one's password")
async def change_password(request: Request, given: PasswordIn, who: CurrentIdentity) -> None:
    """Set a new password and end all other sessions of the person."""
    if who.person is None or who.session_id is None:
        raise WebError(403, "forbidden", "an API key has no password")
    attempts, email, address = services(request).login_attempts, who.person.email, address_of(request)
    await attempts.admit(email=email, address=address)
    await services(request).people.change_password(
        who.person,
        current=given.current_password.get_secret_value(),
        new=given.new_password.get_secret_value(),
        session_id=who.session_id,
        actor=actor_of(request, who),
    )
    await attempts.forgive(email=email, address=address)


@router.get("/me", summary="Who one is")
async def me(who: CurrentIdentity) -> MeOut:
    """Tell who is asking, and what they may."""
    if who.key is not None:
        key = who.key
        return MeOut(
            kind="key",
            id=key.id,
            name=key.name,
            organization_id=key.organization_id,
            role=None,
            scopes=sorted(key.scopes),
        )
    person = who.person
    assert person is not None
    return MeOut(
        kind="person",
        id=person.id,
        name=person.name or person.email,
        organization_id=person.organization_id,
        role=person.role,
        scopes=sorted(ROLE_SCOPES[person.role]),
    )


@router.get("/continue", include_in_schema=False)
async def go_on(request: Request, to: Annotated[str, Query(alias="next")] = "/") -> RedirectResponse:
    """Renew a browser's session by its cookie and go on to a page of ours, or to ``/login`` first."""
    target = local(to)
    login = RedirectResponse(f"/login?next={quote(target, safe='')}", 303)
    token = request.cookies.get(cookies.REFRESH)
    if not token:
        return login
    try:
        person, session = await renewed(request, token)
    except RefreshRaced:
        return login  # which sends on whoever has a session by now
    except SessionEnded:
        cookies.take(request, login)
        return login
    response = RedirectResponse(target, 303)
    _given(request, response, person, session, in_cookies=True)
    return response


async def opened(request: Request, email: str, password: str) -> tuple[Person, Session]:
    """Check a password and open a session. Raises ``LoginFailed`` and ``LockedOut``."""
    of, address = services(request), address_of(request)
    await of.login_attempts.admit(email=email, address=address)
    person = await of.people.verify(email, password)
    if person is None:
        raise LoginFailed
    await of.login_attempts.forgive(email=email, address=address)
    user_agent = request.headers.get("User-Agent")
    session = await of.sessions.open(person.id, person.organization_id, address=address, user_agent=user_agent)
    return person, session


async def renewed(request: Request, token: str) -> tuple[Person, Session]:
    """Renew a session by its refresh token. Raises ``SessionEnded`` and ``RefreshRaced``."""
    of = services(request)
    session = await of.sessions.renew(token, address=address_of(request))
    person = await of.sessions.person(session.id)
    if person is None:
        raise SessionEnded("the session is over")
    return person, session


def give_cookies(request: Request, response: Response, person: Person, session: Session) -> str:
    """Set a session's cookies, and return its CSRF token."""
    tokens = tokens_of(request)
    csrf = tokens.csrf(session.id)
    access = tokens.access(session.id, person)
    cookies.give(request, response, access=access, refresh=session.refresh_token, csrf=csrf)
    return csrf


def local(target: str) -> str:
    """Return the target if it is a path of ours, else ``/``: nobody is sent to another site from here.

    >>> local("/admin/queues?page=2"), local("//evil.example"), local("https://evil.example")
    ('/admin/queues?page=2', '/', '/')
    """
    is_local = target.startswith("/") and target[1:2] not in {"/", "\\"} and target.isprintable()
    return target if is_local and len(target) <= _LONGEST_TARGET else "/"


def _given(request: Request, response: Response, person: Person, session: Session, *, in_cookies: bool) -> TokensOut:
    response.headers["Cache-Control"] = "no-store"
    csrf = give_cookies(request, response, person, session) if in_cookies else None
    return TokensOut(
        access_token=None if in_cookies else tokens_of(request).access(session.id, person),
        refresh_token=None if in_cookies else session.refresh_token,
        csrf_token=csrf,
        expires_in=ACCESS_S,
        person=PersonOut.model_validate(person, from_attributes=True),
    )


def _refresh_token(request: Request, given: RefreshIn | None) -> tuple[str, bool]:
    """Return the refresh token, and whether it came as a cookie."""
    if given is not None and given.refresh_token is not None:
        return given.refresh_token.get_secret_value(), False
    token = request.cookies.get(cookies.REFRESH)
    if not token:
        raise WebError(401, "unauthorized", "no refresh token: give refresh_token, or log in", headers=_CHALLENGE)
    shown = request.headers.get("X-CSRF-Token")
    if not shown or shown != request.cookies.get(cookies.CSRF):
        raise WebError(403, "csrf", f"send the cookie {cookies.CSRF} again in the header X-CSRF-Token")
    return token, True
