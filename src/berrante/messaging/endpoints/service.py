"""Webhook endpoints: where an organization's programs want to be told, and under which secret."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.engine.connection import system_clock
from berrante.messaging.clock import Clock, moment
from berrante.messaging.endpoints.addresses import checked_url
from berrante.messaging.endpoints.emitting import enqueue, tell_one
from berrante.messaging.endpoints.events import EventType, subscribed
from berrante.messaging.endpoints.models import webhook_endpoints
from berrante.messaging.endpoints.signing import new_secret
from berrante.messaging.errors import Invalid, Missing, WrongState
from berrante.messaging.fields import named
from berrante.messaging.queues import Queues
from berrante.store import Database, new_id

MOST: Final = 20
LONGEST_OVERLAP_S: Final = 7 * 24 * 3_600
_BY_HAND: Final = "disabled by hand"
_WELL: Final = {"failures": 0, "failing_since": None, "open_until": None}


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """One endpoint; ``failures`` counts those in a row, and while it rests (``open_until``) nothing is sent."""

    id: UUID
    organization_id: UUID
    url: str
    description: str | None
    events: Sequence[str]
    previous_secret_until: datetime | None
    created_at: datetime
    disabled_at: datetime | None
    disabled_reason: str | None
    failures: int
    failing_since: datetime | None
    open_until: datetime | None
    #: Only where it is to be shown: to whoever makes the endpoint, or gives it a new one.
    secret: str | None = field(default=None, repr=False)


class Endpoints:
    """Makes, changes and tests endpoints; another organization's are ``Missing``."""

    def __init__(
        self, database: Database, queues: Queues, *, allow_loopback: bool = False, clock: Clock = system_clock
    ) -> None:
        self._database = database
        self._queues = queues
        self._allow_loopback = allow_loopback
        self._clock = clock

    async def create(
        self,
        *,
        organization_id: UUID,
        url: str,
        events: Sequence[str],
        description: str | None = None,
        endpoint_id: UUID | None = None,
    ) -> Endpoint:
        """Make an endpoint with a secret of its own. With an ``endpoint_id`` made before, return what was made.

        Raises ``Invalid``, also when the organization has as many as it may.
        """
        id_ = endpoint_id or new_id()
        row = {
            "id": id_,
            "organization_id": organization_id,
            "url": checked_url(url, loopback=self._allow_loopback),
            "description": _description(description),
            "events": subscribed(events),
            "secret": new_secret(),
        }
        async with self._database.tenant(organization_id) as connection:
            # Two that are made at once may exceed the bound by one, which harms nobody.
            mine = select(func.count()).where(
                webhook_endpoints.c.organization_id == organization_id, webhook_endpoints.c.id != id_
            )
            if (await connection.execute(mine)).scalar_one() >= MOST:
                raise Invalid("webhooks", f"are {MOST} already", remedy="delete one that is not needed")
            statement = insert(webhook_endpoints).values(row).on_conflict_do_nothing(index_elements=["id"])
            await connection.execute(statement)
            return await _found(connection, organization_id, id_, with_secret=True)

    async def get(self, organization_id: UUID, endpoint_id: UUID) -> Endpoint:
        """Return one of an organization's endpoints; raises ``Missing``."""
        async with self._database.tenant(organization_id) as connection:
            return await _found(connection, organization_id, endpoint_id)

    async def list(self, organization_id: UUID, limit: int = 50, before: UUID | None = None) -> list[Endpoint]:
        """Return up to ``limit`` endpoints, newest first, those older than the id ``before``."""
        query = select(*_SHOWN).where(webhook_endpoints.c.organization_id == organization_id)
        if before is not None:
            query = query.where(webhook_endpoints.c.id < before)
        query = query.order_by(webhook_endpoints.c.id.desc()).limit(limit)
        async with self._database.tenant(organization_id) as connection:
            return [Endpoint(**row._mapping) for row in await connection.execute(query)]

    async def change(
        self,
        organization_id: UUID,
        endpoint_id: UUID,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        description: str | None = None,
        enabled: bool | None = None,
    ) -> Endpoint:
        """Change what is given. Enabling forgets the failures; what was skipped meanwhile is sent only by a replay.

        Raises ``Missing`` and ``Invalid``.
        """
        values: dict[str, Any] = {}
        if url is not None:
            values |= {"url": checked_url(url, loopback=self._allow_loopback), **_WELL}
        if events is not None:
            values["events"] = subscribed(events)
        if description is not None:
            values["description"] = _description(description)
        if enabled is True:
            values |= {"disabled_at": None, "disabled_reason": None, **_WELL}
        if enabled is False:
            values |= {
                "disabled_at": func.coalesce(webhook_endpoints.c.disabled_at, moment(self._clock())),
                "disabled_reason": func.coalesce(webhook_endpoints.c.disabled_reason, _BY_HAND),
            }
        async with self._database.tenant(organization_id) as connection:
            if values:
                await connection.execute(
                    update(webhook_endpoints).where(*_own(organization_id, endpoint_id)).values(values)
                )
            return await _found(connection, organization_id, endpoint_id)

    async def delete(self, organization_id: UUID, endpoint_id: UUID) -> None:
        """Delete an endpoint with its deliveries; raises ``Missing``."""
        async with self._database.tenant(organization_id) as connection:
            gone = await connection.execute(delete(webhook_endpoints).where(*_own(organization_id, endpoint_id)))
            if gone.rowcount == 0:
                raise Missing("webhook", endpoint_id)

    async def rotate_secret(self, organization_id: UUID, endpoint_id: UUID, *, overlap_s: int) -> Endpoint:
        """Give an endpoint a new secret; for ``overlap_s`` deliveries are signed with the old one too.

        Of three, the oldest ends at once. Raises ``Missing`` and ``Invalid``.
        """
        if not 0 <= overlap_s <= LONGEST_OVERLAP_S:
            raise Invalid("overlap_s", f"is {overlap_s}", remedy=f"give seconds, 0 to {LONGEST_OVERLAP_S}")
        until = moment(self._clock()) + timedelta(seconds=overlap_s)
        values = {
            "secret": new_secret(),
            "previous_secret": webhook_endpoints.c.secret if overlap_s else None,
            "previous_secret_until": until if overlap_s else None,
        }
        async with self._database.tenant(organization_id) as connection:
            await connection.execute(
                update(webhook_endpoints).where(*_own(organization_id, endpoint_id)).values(values)
            )
            return await _found(connection, organization_id, endpoint_id, with_secret=True)

    async def ping(self, organization_id: UUID, endpoint_id: UUID) -> UUID:
        """Have ``webhook.test`` delivered to an endpoint, whatever it asked for, and return the delivery's id.

        Raises ``Missing``, and ``WrongState`` for one that is disabled.
        """
        async with self._database.tenant(organization_id) as connection:
            endpoint = await _found(connection, organization_id, endpoint_id)
            if endpoint.disabled_at is not None:
                raise WrongState("webhook", endpoint_id, state="disabled", needed="enabled")
            told = await tell_one(
                connection,
                organization_id=organization_id,
                endpoint_id=endpoint_id,
                event=EventType.WEBHOOK_TEST,
                data={"webhook_id": str(endpoint_id)},
            )
        await enqueue(self._queues, told)
        return told[0].delivery_id


# Without the secrets, which a process that lacks their key cannot read.
_SHOWN: Final = tuple(column for column in webhook_endpoints.c if column.name not in {"secret", "previous_secret"})


def _own(organization_id: UUID, endpoint_id: UUID) -> tuple[Any, Any]:
    return webhook_endpoints.c.organization_id == organization_id, webhook_endpoints.c.id == endpoint_id


async def _found(
    connection: AsyncConnection, organization_id: UUID, endpoint_id: UUID, *, with_secret: bool = False
) -> Endpoint:
    columns = (*_SHOWN, webhook_endpoints.c.secret) if with_secret else _SHOWN
    row = (await connection.execute(select(*columns).where(*_own(organization_id, endpoint_id)))).one_or_none()
    if row is None:
        raise Missing("webhook", endpoint_id)
    return Endpoint(**row._mapping)


def _description(text: str | None) -> str | None:
    return named(text, field="description") if text and text.strip() else None
