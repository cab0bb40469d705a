"""The cookies of a browser session; scripts can read the CSRF token alone."""

from typing import Final

from fastapi import Request, Response

from berrante.messaging.people.sessions import LIFE
from berrante.settings import Environment
from berrante.web.services import services
from berrante.web.tokens import ACCESS_S

ACCESS: Final = "berrante_session"
REFRESH: Final = "berrante_refresh"
CSRF: Final = "berrante_csrf"
_REFRESH_PATH: Final = "/auth"


def give(request: Request, response: Response, *, access: str, refresh: str, csrf: str) -> None:
    """Set the three cookies of a session."""
    secure, life = is_secure(request), int(LIFE.total_seconds())
    response.set_cookie(ACCESS, access, max_age=ACCESS_S, httponly=True, secure=secure, samesite="lax")
    # Travels to the routes that renew and end sessions, and nowhere else.
    response.set_cookie(
        REFRESH, refresh, max_age=life, path=_REFRESH_PATH, httponly=True, secure=secure, samesite="lax"
    )
    give_csrf(request, response, csrf, max_age=life)


def give_csrf(request: Request, response: Response, token: str, *, max_age: int | None = None) -> None:
    """Set the cookie that a page's script reads and shows in ``X-CSRF-Token``."""
    response.set_cookie(CSRF, token, max_age=max_age, httponly=False, secure=is_secure(request), samesite="lax")


def take(request: Request, response: Response) -> None:
    """Remove the three cookies."""
    secure = is_secure(request)
    response.delete_cookie(ACCESS, httponly=True, secure=secure, samesite="lax")
    response.delete_cookie(REFRESH, path=_REFRESH_PATH, httponly=True, secure=secure, samesite="lax")
    response.delete_cookie(CSRF, secure=secure, samesite="lax")


def is_secure(request: Request) -> bool:
    """Tell whether cookies may travel over https alone: always in production, else where the request came so."""
    return services(request).settings.env is Environment.PRODUCTION or request.url.scheme == "https"
