"""What each role may do: the one table of roles and scopes."""

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final


class Role(enum.StrEnum):
    """The roles of an organization's people; an owner without an organization is the platform's."""

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

#: To make, change, reset and remove an organization's owners: its owners alone may, and no key.
OWNERS_WRITE: Final = "owners.write"

#: What a key may do that was made without saying what.
WORK_SCOPES: Final = _both(*_WORK)

ROLE_SCOPES: Final[Mapping[Role, frozenset[str]]] = MappingProxyType(
    {
        Role.OWNER: SCOPES | {OWNERS_WRITE},  # within the organization that is theirs, or that the platform's acts for
        Role.ADMIN: SCOPES,
        Role.AGENT: _both("contacts", "messages") | _read("automations", "campaigns", "instances", "quotas"),
        Role.VIEWER: _read("automations", "campaigns", "contacts", "instances", "messages", "quotas"),
    }
)

#: Who administers an organization.
ADMINISTRATORS: Final = frozenset({Role.OWNER, Role.ADMIN})
