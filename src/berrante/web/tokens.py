"""What a logged-in person carries: an access token that lives minutes, and a CSRF token that belongs to the session."""

import hashlib
import hmac
import secrets
import time
from typing import Final
from uuid import UUID

import jwt

from berrante.messaging.people import Person

ACCESS_S: Final = 15 * 60
_ALGORITHM: Final = "HS256"
_ISSUER: Final = "berrante"
_AUDIENCE: Final = "berrante:access"


class Tokens:
    """Signs and checks tokens; each kind has a key of its own, derived from the secret.

    >>> tokens = Tokens("a secret of thirty-two characters or more")
    >>> session = UUID(int=7)
    >>> tokens.csrf_matches(session, tokens.csrf(session)), tokens.csrf_matches(UUID(int=8), tokens.csrf(session))
    (True, False)
    """

    def __init__(self, secret: str) -> None:
        self._access_key = self._derived(secret, "access")
        self._csrf_key = self._derived(secret, "csrf")

    def access(self, session_id: UUID, person: Person) -> str:
        """Return an access token (JWT, HS256) for ``ACCESS_S`` seconds.

        Only its session is believed: role and organization are there for clients to read, and are looked up anew.
        """
        now = int(time.time())
        claims = {
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "sub": str(person.id),
            "sid": str(session_id),
            "role": person.role.value,
            "org": str(person.organization_id) if person.organization_id else None,
            "iat": now,
            "exp": now + ACCESS_S,
        }
        return jwt.encode(claims, self._access_key, algorithm=_ALGORITHM)

    def session_of(self, token: str) -> UUID | None:
        """Return the session of a good access token, or None."""
        try:
            claims = jwt.decode(
                token,
                self._access_key,
                algorithms=[_ALGORITHM],
                issuer=_ISSUER,
                audience=_AUDIENCE,
                options={"require": ["exp", "iat", "sub", "sid"]},
            )
            return UUID(claims["sid"])
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError):
            return None

    def csrf(self, session_id: UUID) -> str:
        """Return a token that a page shows in ``X-CSRF-Token``, to prove that it can read the session's cookies."""
        nonce = secrets.token_urlsafe(16)
        return f"{nonce}.{self._mark(session_id, nonce)}"

    def csrf_matches(self, session_id: UUID, token: str) -> bool:
        """Tell whether the token was made for the session."""
        nonce, _, mark = token.partition(".")
        return hmac.compare_digest(mark.encode(), self._mark(session_id, nonce).encode())

    def _mark(self, session_id: UUID, nonce: str) -> str:
        said = session_id.bytes + nonce.encode("utf-8", "surrogatepass")
        return hmac.new(self._csrf_key, said, hashlib.sha256).hexdigest()

    @staticmethod
    def _derived(secret: str, purpose: str) -> bytes:
        return hmac.new(secret.encode(), f"berrante {purpose} tokens".encode(), hashlib.sha256).digest()
