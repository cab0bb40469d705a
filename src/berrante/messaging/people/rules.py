"""Who may make and change whom, and who has to stay."""

from collections.abc import Iterable

from berrante.messaging.errors import Denied, WrongState
from berrante.messaging.people.person import Person
from berrante.messaging.people.roles import ADMINISTRATORS, ROLE_SCOPES, Role


def admit_role(role: Role, may: frozenset[str]) -> None:
    """Raise ``Denied`` if the role can do more than ``may``: nobody gives it, nor changes whoever has it."""
    if not ROLE_SCOPES[role] <= may:
        helper = "owner" if role is Role.OWNER else "admin"
        raise Denied(f"the role {role.value!r} can do more than you: ask an {helper}")


def keep_administrators(before: Person, after: Person | None, others: Iterable[Person]) -> None:
    """Raise ``WrongState`` if a change takes away an organization's last owner, or its last owner or admin.

    Only those count who can log in; an organization that never had an owner needs none.
    """
    left = [person for person in (*others, after) if person is not None and not person.is_disabled]
    if before.is_disabled:
        return
    if before.role is Role.OWNER and all(person.role is not Role.OWNER for person in left):
        raise WrongState("person", before.id, state="the last owner", needed="joined by another owner first")
    if before.role in ADMINISTRATORS and all(person.role not in ADMINISTRATORS for person in left):
        raise WrongState("person", before.id, state="the last admin", needed="joined by another admin or owner first")
