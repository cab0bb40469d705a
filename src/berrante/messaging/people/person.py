"""Someone who logs in."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping

from berrante.messaging.people.roles import Role


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Someone who logs in; an owner without an organization is the platform's."""

    id: UUID
    organization_id: UUID | None
    email: str
    role: Role
    created_at: datetime
    name: str | None
    disabled_at: datetime | None
    last_login_at: datetime | None

    @property
    def is_platform_owner(self) -> bool:
        """Tell the platform's owner from an organization's: only the former stands above all organizations."""
        return self.role is Role.OWNER and self.organization_id is None

    @property
    def is_disabled(self) -> bool:
        """Tell whether they may not log in."""
        return self.disabled_at is not None


def person_of(row: RowMapping) -> Person:
    """Make a person of their row."""
    values = {name: value for name, value in row.items() if name != "password_hash"}
    return Person(**{**values, "role": Role(row["role"])})
