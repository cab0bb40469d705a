"""The audit log: who did what to the organization's settings, from where, and what it was before and after."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.audit.models import audit_log
from berrante.messaging.errors import Invalid
from berrante.messaging.fields import storable
from berrante.store import Database, new_id

_MOST: Final = 500
_SHOWN: Final = 300
_ANY: Final[TypeAdapter[Any]] = TypeAdapter(Any)
#: Whatever is called so is not written down, wherever it stands.
_SECRETS: Final = ("password", "secret", "token", "sha256", "hash")


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """Who acts: a person, an API key, or whoever runs a command on the server (``COMMAND``)."""

    kind: Literal["person", "key", "command"]
    id: UUID | None
    name: str
    address: str | None = None
    user_agent: str | None = None
    request_id: str | None = None


COMMAND: Final = Actor(kind="command", id=None, name="berrante")


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditEntry:
    """One act; ``action`` is ``noun.verb``, and fields named like secrets are hidden in ``before`` and ``after``."""

    id: UUID
    organization_id: UUID | None
    at: datetime
    actor_kind: str
    actor_id: UUID | None
    actor_name: str
    address: str | None
    user_agent: str | None
    request_id: str | None
    action: str
    subject_kind: str
    subject_id: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


async def record(
    connection: AsyncConnection,
    *,
    organization_id: UUID | None,
    actor: Actor,
    action: str,
    subject: tuple[str, object],
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write the act down in the caller's transaction: either both happen, or neither.

    ``subject`` is a kind and an id. Values are made JSON; those whose name speaks of a secret become ``***``.

    Example::

        async with database.tenant(organization_id) as connection:
            await connection.execute(update(instances)…)
            await audit.record(connection, organization_id=organization_id, actor=caller.actor,
                               action="instance.updated", subject=("instance", "sales"), before=…, after=…)
    """
    kind, subject_id = subject
    row = {
        "id": new_id(),
        "organization_id": organization_id,
        "actor_kind": actor.kind,
        "actor_id": actor.id,
        "actor_name": actor.name,
        "address": actor.address,
        "user_agent": None if actor.user_agent is None else storable(actor.user_agent)[:_SHOWN],
        "request_id": actor.request_id,
        "action": action,
        "subject_kind": kind,
        "subject_id": str(subject_id),
        "before": _hidden(before),
        "after": _hidden(after),
    }
    await connection.execute(insert(audit_log).values(row))


class AuditLog:
    """Reads the acts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(
        self,
        organization_id: UUID,
        limit: int = 50,
        after: UUID | None = None,
        *,
        action: str | None = None,
        actor_id: UUID | None = None,
    ) -> list[AuditEntry]:
        """Return up to ``limit`` (1 to 500) acts in an organization, newest first, those that follow the id ``after``.

        ``action`` is a whole action, or a noun for all that was done to its kind.
        """
        if not 1 <= limit <= _MOST:
            raise Invalid("limit", f"is {limit}", remedy=f"give 1 to {_MOST}")
        query = select(audit_log).where(audit_log.c.organization_id == organization_id)
        if after is not None:
            query = query.where(audit_log.c.id < after)
        if action is not None:
            wanted = storable(action)
            query = query.where((audit_log.c.action == wanted) | (audit_log.c.subject_kind == wanted))
        if actor_id is not None:
            query = query.where(audit_log.c.actor_id == actor_id)
        async with self._database.tenant(organization_id) as connection:
            found = await connection.execute(query.order_by(audit_log.c.id.desc()).limit(limit))
            return [AuditEntry(**row._mapping) for row in found]


def _hidden(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if values is None:
        return None
    return {name: _shown(name, value) for name, value in values.items()}


def _shown(name: str, value: Any) -> Any:  # noqa: ANN401  any field of any row
    if value is not None and any(word in name for word in _SECRETS):
        return "***"
    if isinstance(value, Mapping):
        return _hidden(value)
    return _ANY.dump_python(value, mode="json", fallback=str)
