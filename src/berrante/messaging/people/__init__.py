"""People who log in."""

from berrante.messaging.people.attempts import LoginAttempts
from berrante.messaging.people.person import Person
from berrante.messaging.people.roles import ROLE_SCOPES, SCOPES, WORK_SCOPES, Role
from berrante.messaging.people.service import People
from berrante.messaging.people.sessions import Session, Sessions

__all__ = [
    "ROLE_SCOPES",
    "SCOPES",
    "WORK_SCOPES",
    "LoginAttempts",
    "People",
    "Person",
    "Role",
    "Session",
    "Sessions",
]
