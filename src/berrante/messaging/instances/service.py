"""Instances: WhatsApp numbers, each of one organization and behind one gateway."""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging import audit
from berrante.messaging.audit import Actor
from berrante.messaging.errors import Invalid, Missing, Taken
from berrante.messaging.instances.models import instances
from berrante.messaging.instances.settings import InstanceSettings, merged
from berrante.messaging.instances.tenancy import is_instance_id
from berrante.messaging.organizations.models import organizations
from berrante.store import Database

_GATEWAYS: Final = ("simulator", "cloud", "baileys")
_LONGEST_TEXT: Final = 500
# Made once: to build a statement of many columns takes longer than to have it answered.
_ONE: Final = select(instances).where(instances.c.id == bindparam("own_id"))
_OWN: Final = _ONE.where(instances.c.organization_id == bindparam("own_organization_id"))
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # no letter that looks like another


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """One number.

    ``app_secret`` signs its webhooks and ``verify_token`` answers Meta's first call; neither is in the ``repr``.
    """

    id: str
    organization_id: UUID
    gateway: str
    phone_number_id: str | None = None
    display_number: str | None = None
    app_secret: str | None = field(default=None, repr=False)
    verify_token: str | None = field(default=None, repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    created_at: datetime

    @property
    def configuration(self) -> InstanceSettings:
        """Return the settings as typed values."""
        return InstanceSettings.of(self.settings)


#: Told of a number's settings once they are stored; if it raises, so does the call that changed them.
SettingsHook = Callable[[Instance, InstanceSettings], Awaitable[None]]


class Instances:
    """Makes, changes and finds instances.

    ``on_settings`` is called after each commit that may have changed a number's settings. A process that was killed
    before the call has not told: whoever depends on it reads ``list_all`` at its start.
    """

    def __init__(self, database: Database, *, on_settings: SettingsHook | None = None) -> None:
        self._database = database
        self._on_settings = on_settings

    async def create(
        self,
        *,
        organization_id: UUID,
        id: str | None = None,  # noqa: A002  the field's name everywhere else
        gateway: str = "simulator",
        phone_number_id: str | None = None,
        display_number: str | None = None,
        app_secret: str | None = None,
        verify_token: str | None = None,
        settings: Mapping[str, Any] | None = None,
        actor: Actor | None = None,
    ) -> Instance:
        """Make an instance; without an ``id`` one is drawn.

        Raises ``Invalid``, ``Taken`` if the id is in use (ids are the platform's, not the organization's), and
        ``Missing`` if there is no such organization.
        """
        if id is None:
            id = "".join(secrets.choice(_ALPHABET) for _ in range(10))  # noqa: A001  see above
        if not is_instance_id(id):
            raise Invalid("id", f"is {id[:60]!r}", remedy="give 1 to 40 of a-z, 0-9 and '-'")
        if gateway not in _GATEWAYS:
            raise Invalid("gateway", f"is {gateway[:40]!r}", remedy=f"give one of {', '.join(_GATEWAYS)}")
        if gateway == "cloud":
            for name, value in (
                ("phone_number_id", phone_number_id),
                ("app_secret", app_secret),
                ("verify_token", verify_token),
            ):
                if not value:
                    raise Invalid(name, "is empty", remedy="a cloud instance needs it, from Meta's app dashboard")
        row = {
            "id": id,
            "organization_id": organization_id,
            "gateway": gateway,
            "phone_number_id": phone_number_id,
            "display_number": display_number,
            "app_secret": app_secret,
            "verify_token": verify_token,
            "settings": merged({}, settings) if settings else {},
        }
        async with self._database.tenant(organization_id) as connection:
            owner = select(organizations.c.id).where(organizations.c.id == organization_id)
            if (await connection.execute(owner)).one_or_none() is None:
                raise Missing("organization", organization_id)
            statement = insert(instances).values(row).on_conflict_do_nothing(index_elements=["id"])
            made = (await connection.execute(statement.returning(instances))).one_or_none()
            if made is None:
                raise Taken("instance", id)
            await self._audited(connection, actor, "instance.created", Instance(**made._mapping))
        return await self._told(Instance(**made._mapping))

    async def update(
        self,
        organization_id: UUID,
        instance_id: str,
        *,
        display_number: str | None = None,
        phone_number_id: str | None = None,
        app_secret: str | None = None,
        verify_token: str | None = None,
        settings: Mapping[str, Any] | None = None,
        actor: Actor | None = None,
    ) -> Instance:
        """Change what is given and leave what is None.

        Of ``settings`` each top-level key is replaced as a whole, and taken away by None. Raises ``Invalid``, and
        ``Missing`` for an instance that is not the organization's.
        """
        given = {
            "display_number": display_number,
            "phone_number_id": phone_number_id,
            "app_secret": app_secret,
            "verify_token": verify_token,
        }
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        for name, value in changes.items():
            if not value.strip() or len(value) > _LONGEST_TEXT:
                raise Invalid(name, f"has {len(value)} characters", remedy=f"give 1 to {_LONGEST_TEXT}")
        own = (instances.c.organization_id == organization_id, instances.c.id == instance_id)
        async with self._database.tenant(organization_id) as connection:
            # Locked: of two changes at once, neither may put back what the other replaced.
            lock = select(instances).where(*own).with_for_update(key_share=True)
            row = (await connection.execute(lock)).one_or_none() if is_instance_id(instance_id) else None
            if row is None:
                raise Missing("instance", instance_id[:60])
            changes["settings"] = merged(row.settings, settings or {})
            statement = update(instances).where(*own).values(changes).returning(instances)
            changed = (await connection.execute(statement)).one()
            before = Instance(**row._mapping)
            await self._audited(connection, actor, "instance.updated", Instance(**changed._mapping), before=before)
        return await self._told(Instance(**changed._mapping))

    async def get(self, instance_id: str) -> Instance | None:
        """Return an instance of whatever organization, or None; for callers that prove themselves to the instance."""
        if not is_instance_id(instance_id):
            return None
        async with self._database.glance(because="a webhook proves itself to the instance") as connection:
            row = (await connection.execute(_ONE, {"own_id": instance_id})).one_or_none()
        return Instance(**row._mapping) if row else None

    async def find(self, organization_id: UUID, instance_id: str) -> Instance | None:
        """Return an organization's own instance, or None."""
        if not is_instance_id(instance_id):
            return None
        own = {"own_id": instance_id, "own_organization_id": organization_id}
        async with self._database.tenant(organization_id) as connection:
            row = (await connection.execute(_OWN, own)).one_or_none()
        return Instance(**row._mapping) if row else None

    async def list(self, organization_id: UUID) -> list[Instance]:
        """Return an organization's instances, in order of their ids."""
        query = select(instances).where(instances.c.organization_id == organization_id).order_by(instances.c.id)
        async with self._database.tenant(organization_id) as connection:
            return [Instance(**row._mapping) for row in await connection.execute(query)]

    async def list_all(self) -> Sequence[Instance]:
        """Return the instances of all organizations; for a process that starts, not for a request."""
        async with self._database.platform(because="a process that starts serves all") as connection:
            found = await connection.execute(select(instances).order_by(instances.c.id))
            return [Instance(**row._mapping) for row in found]

    async def _told(self, instance: Instance) -> Instance:
        if self._on_settings is not None:
            await self._on_settings(instance, instance.configuration)
        return instance

    async def _audited(
        self,
        connection: AsyncConnection,
        actor: Actor | None,
        action: str,
        after: Instance,
        *,
        before: Instance | None = None,
    ) -> None:
        if actor is None:  # the service itself: a demo, a smoke test
            return
        await audit.record(
            connection,
            organization_id=after.organization_id,
            actor=actor,
            action=action,
            subject=("instance", after.id),
            before=_shown(before) if before else None,
            after=_shown(after),
        )


def _shown(instance: Instance) -> dict[str, Any]:
    """Return what the audit log keeps: no secrets."""
    return {
        "gateway": instance.gateway,
        "display_number": instance.display_number,
        "phone_number_id": instance.phone_number_id,
        "settings": dict(instance.settings),
    }
