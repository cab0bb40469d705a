"""``/login``: the page on which people log in. It works without scripts and loads nothing from elsewhere."""

from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader

from berrante.messaging.errors import LockedOut, LoginFailed
from berrante.messaging.people import Person
from berrante.web import cookies
from berrante.web.auth import tokens_of
from berrante.web.services import services
from berrante.web.sessions import give_cookies, local, opened

router = APIRouter(include_in_schema=False)

_HERE: Final = Path(__file__).parent
_PAGES: Final = Environment(loader=PackageLoader("berrante.web"), autoescape=True)
_NOBODY: Final = UUID(int=0)  # the session of a form that nobody has sent yet
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_ASSETS: Final = {"login.css": "text/css", "login.js": "text/javascript"}


@router.get("/login")
async def page(request: Request, to: Annotated[str, Query(alias="next")] = "") -> Response:
    """Show the form, or send on whoever is logged in."""
    session_id = tokens_of(request).session_of(request.cookies.get(cookies.ACCESS, ""))
    person = await services(request).sessions.person(session_id) if session_id else None
    if person is not None:
        return RedirectResponse(local(to or _home(person)), 303)
    return _form(request, to=to)


@router.post("/login")
async def log_in(
    request: Request,
    email: Annotated[str, Form(max_length=320)] = "",
    password: Annotated[str, Form(max_length=1_024)] = "",
    csrf: Annotated[str, Form(max_length=200)] = "",
    to: Annotated[str, Form(alias="next", max_length=2_000)] = "",
) -> Response:
    """Log in and go on to where the person wanted to; show the form again with what was wrong."""
    kept = request.cookies.get(cookies.CSRF)
    if not csrf or csrf != kept or not tokens_of(request).csrf_matches(_NOBODY, csrf):
        problem = "This form has expired, or your browser keeps no cookies. Please try again."
        return _form(request, to=to, email=email, problem=problem, status=403)
    try:
        person, session = await opened(request, email, password)
    except LoginFailed:
        problem = "The e-mail address or the password is wrong."
        return _form(request, to=to, email=email, problem=problem, status=401)
    except LockedOut as error:
        problem = f"{str(error)[:1].upper()}{str(error)[1:]}."
        headers = {"Retry-After": str(error.retry_after_s)}
        return _form(request, to=to, email=email, problem=problem, status=429, headers=headers)
    response = RedirectResponse(local(to or _home(person)), 303, headers=_HEADERS)
    give_cookies(request, response, person, session)
    return response


@router.get("/login/{name}")
async def asset(name: str) -> Response:
    """Return the page's style or script."""
    if name not in _ASSETS:
        return Response(status_code=404)
    headers = {"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}
    return FileResponse(_HERE / "static" / name, media_type=_ASSETS[name], headers=headers)


def _home(person: Person) -> str:
    return "/admin/queues" if person.is_platform_owner else "/"


def _form(
    request: Request,
    *,
    to: str,
    email: str = "",
    problem: str | None = None,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> HTMLResponse:
    csrf = tokens_of(request).csrf(_NOBODY)
    html = _PAGES.get_template("login.html").render(
        csrf=csrf, next=local(to) if to else "", email=email, problem=problem
    )
    response = HTMLResponse(html, status, headers={**_HEADERS, **(headers or {})})
    cookies.give_csrf(request, response, csrf)
    return response
