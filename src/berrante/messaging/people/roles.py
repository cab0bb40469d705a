"""What each role may do: the one table of roles and scopes."""

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final


class Role(enum.StrEnum):
    """The platform's owner, and the three roles of an organization's people."""

    OWNER = "owner"
    ADMIN = "admin"
    AGENT = "agent"
    VIEWER = "viewer"


#: What an organization works with, and what only its admins see.
_WORK: Final = ("automations", "campaigns", "contacts", "dead_letters", "instances", "messages", "webhooks")
_ADMINISTRATION: Final = ("api_keys", "people")


def _both(*nouns: str) -> frozenset[str]:
    return frozenset(f"{noun}.{verb}" for noun in nouns for verb in ("read", "write"))


def _read(*nouns: str) -> frozenset[str]:
    return frozenset(f"{noun}.read" for noun in nouns)


#: All that a key or a person can be allowed.
SCOPES: Final = _both(*_WORK, *_ADMINISTRATION) | _read("audit_log", "quotas")

#: What a key may do that was made without saying what.
WORK_SCOPES: Final = _both(*_WORK)

ROLE_SCOPES: Final[Mapping[Role, frozenset[str]]] = MappingProxyType(
    {
        Role.OWNER: SCOPES,  # within the organization that the owner acts for
        Role.ADMIN: SCOPES,
        Role.AGENT: _both("contacts", "messages") | _read("automations", "campaigns", "instances", "quotas"),
        Role.VIEWER: _read("automations", "campaigns", "contacts", "instances", "messages", "quotas"),
    }
)

#: The roles of an organization's people; the owner is the platform's.
TENANT_ROLES: Final = (Role.ADMIN, Role.AGENT, Role.VIEWER)
