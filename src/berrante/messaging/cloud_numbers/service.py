"""Gives numbers their tokens, and the gateway what it needs to speak for them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.gateways.cloud import GRAPH_URL, GRAPH_VERSION, CloudNumber
from berrante.gateways.protocol import Action, Scope, SendError
from berrante.messaging import instance_states
from berrante.messaging.clock import Clock, moment
from berrante.messaging.cloud_numbers.meaning import SetLimit, SetQuality, told_at_first
from berrante.messaging.cloud_numbers.models import cloud_numbers
from berrante.messaging.endpoints.emitting import Told, emit_all, enqueue
from berrante.messaging.errors import Invalid, Missing, WrongState
from berrante.messaging.instance_states.deciding import TOKEN_CODES
from berrante.messaging.instances.models import instances
from berrante.messaging.instances.tenancy import is_instance_id
from berrante.messaging.outbound import sending_holds
from berrante.messaging.outbound.policy.holding import Hold
from berrante.messaging.outbound.waking import Waker
from berrante.messaging.queues import Queues
from berrante.store import Database, EncryptionError

_VERSION: Final = re.compile(r"v[0-9]{1,3}\.[0-9]{1,2}")
_DIGITS: Final = re.compile(r"[0-9]{1,40}")
_TOKEN: Final = re.compile(r"[!-~]{8,2000}")
#: How long a token that was read is believed: a new one holds in all processes after this.
_BELIEVED_MS: Final = 5_000
_MANY: Final = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudNumberState:
    """What is known of a number; ``per_s`` is the rate that WhatsApp had us go down to, None for the number's own."""

    instance_id: str
    has_token: bool
    base_url: str
    graph_version: str
    business_account_id: str | None
    portfolio_id: str | None
    messaging_limit: int | None
    quality: str | None
    per_s: float | None
    updated_at: datetime


class CloudNumbers:
    """Connects numbers; it is the gateway's ``Credentials``."""

    def __init__(self, database: Database, queues: Queues, *, clock: Clock, waker: Waker | None = None) -> None:
        self._database = database
        self._queues = queues
        self._waker = waker
        self._clock = clock
        self._believed: dict[tuple[UUID, str], tuple[CloudNumber | None, int]] = {}

    async def connect(
        self,
        *,
        organization_id: UUID,
        instance_id: str,
        access_token: str | None = None,
        base_url: str | None = None,
        graph_version: str | None = None,
        business_account_id: str | None = None,
        portfolio_id: str | None = None,
    ) -> CloudNumberState:
        """Give a number of gateway ``cloud`` what it needs to send; what is None stays as it was.

        A new token ends what the old one held. Raises ``Invalid``, ``Missing``, ``WrongState`` for a number of another
        gateway, and ``KeyMissing`` if there is no key to seal the token with.
        """
        given: dict[str, Any] = {
            "access_token": _checked(access_token, "access_token", _TOKEN, "give the token without spaces"),
            "base_url": _base_url(base_url),
            "graph_version": _checked(graph_version, "graph_version", _VERSION, "give a version such as v24.0"),
            "business_account_id": _checked(business_account_id, "business_account_id", _DIGITS, "give digits"),
            "portfolio_id": _checked(portfolio_id, "portfolio_id", _DIGITS, "give digits"),
        }
        changes = {name: value for name, value in given.items() if value is not None}
        row = {"base_url": GRAPH_URL, "graph_version": GRAPH_VERSION} | changes
        now = moment(self._clock())
        freed: list[str] = []
        async with self._database.begin() as connection:
            query = select(instances.c.gateway, instances.c.phone_number_id).where(
                instances.c.id == instance_id, instances.c.organization_id == organization_id
            )
            found = (await connection.execute(query)).one_or_none() if is_instance_id(instance_id) else None
            if found is None:
                raise Missing("instance", instance_id[:60])
            if found.gateway != "cloud" or not found.phone_number_id:
                state = f"of gateway {found.gateway}" if found.gateway != "cloud" else "without a phone_number_id"
                raise WrongState("instance", instance_id, state=state, needed="of gateway cloud, with one")
            new = insert(cloud_numbers).values(
                instance_id=instance_id, organization_id=organization_id, updated_at=now, **row
            )
            await connection.execute(
                new.on_conflict_do_update(index_elements=["instance_id"], set_=changes | {"updated_at": now})
            )
            if access_token is not None:
                freed = await sending_holds.lift(
                    connection, organization_id=organization_id, instance_id=instance_id, codes=TOKEN_CODES
                )
            told = await self._reviewed(connection, organization_id, instance_id)
        await enqueue(self._queues, told)
        self._believed.pop((organization_id, instance_id), None)
        # Not before every process believes the new token: one that sent with the old would be held anew.
        await self._wake(organization_id, freed, after_ms=_BELIEVED_MS)
        state_now = await self.find(organization_id, instance_id)
        assert state_now is not None
        return state_now

    async def __call__(self, *, organization_id: UUID, instance_id: str) -> CloudNumber | None:
        """Return what the gateway needs of a number, as it was within the last 5 seconds; None without a token.

        Raises ``SendError`` for a token that cannot be read.
        """
        key = (organization_id, instance_id)
        known = self._believed.get(key)
        now_ms = self._clock()
        if known is not None and now_ms < known[1]:
            return known[0]
        query = (
            select(cloud_numbers, instances.c.phone_number_id)
            .join(instances, instances.c.id == cloud_numbers.c.instance_id)
            .where(cloud_numbers.c.instance_id == instance_id, cloud_numbers.c.organization_id == organization_id)
        )
        try:
            async with self._database.begin() as connection:
                row = (await connection.execute(query)).one_or_none()
        except EncryptionError as error:
            raise SendError(
                str(error),
                scope=Scope.NUMBER,
                action=Action.HOLD,
                code="no_access_token",
                remedy="add the key that sealed the token, or give the number a new one",
            ) from error
        number = None
        if row is not None and row.access_token is not None and row.phone_number_id:
            number = CloudNumber(
                phone_number_id=row.phone_number_id,
                access_token=row.access_token,
                base_url=row.base_url,
                graph_version=row.graph_version,
            )
        if len(self._believed) >= _MANY:
            self._believed.clear()
        self._believed[key] = (number, now_ms + _BELIEVED_MS)
        return number

    async def find(self, organization_id: UUID, instance_id: str) -> CloudNumberState | None:
        """Return what is known of an organization's number; None if nothing is."""
        columns = [each for each in cloud_numbers.c if each.name != "access_token"]
        has_token = cloud_numbers.c.access_token.is_not(None).label("has_token")
        query = select(*columns, has_token).where(
            cloud_numbers.c.instance_id == instance_id, cloud_numbers.c.organization_id == organization_id
        )
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        return CloudNumberState(
            instance_id=row.instance_id,
            has_token=row.has_token,
            base_url=row.base_url,
            graph_version=row.graph_version,
            business_account_id=row.business_account_id,
            portfolio_id=row.portfolio_id,
            messaging_limit=row.messaging_limit,
            quality=row.quality,
            per_s=row.rate_per_s,
            updated_at=row.updated_at,
        )

    async def holds(self, organization_id: UUID, instance_id: str) -> list[Hold]:
        """Return what of a number must not be sent now, and why."""
        async with self._database.begin() as connection:
            return await sending_holds.on_number(
                connection, organization_id=organization_id, instance_id=instance_id, now=moment(self._clock())
            )

    async def release(self, organization_id: UUID, instance_id: str, *, what: str | None = None) -> int:
        """End a hold by its name, or all holds of a number, and return how many; what waits goes on at once.

        If Redis is away this raises, and the holds are ended all the same: what waits goes on within five minutes.
        """
        async with self._database.begin() as connection:
            freed = await sending_holds.lift(
                connection, organization_id=organization_id, instance_id=instance_id, what=what
            )
            told = await self._reviewed(connection, organization_id, instance_id)
        await enqueue(self._queues, told)
        await self._wake(organization_id, freed)
        return len(freed)

    async def _reviewed(self, connection: AsyncConnection, organization_id: UUID, instance_id: str) -> list[Told]:
        now = moment(self._clock())
        happenings = await instance_states.review(
            connection, organization_id=organization_id, instance_id=instance_id, now=now
        )
        return await emit_all(connection, happenings)

    async def _wake(self, organization_id: UUID, instance_ids: list[str], *, after_ms: int = 0) -> None:
        if self._waker is not None and instance_ids:
            await self._waker.wake(organization_id, instance_ids, after_ms=after_ms)

    async def learn(self, organization_id: UUID, instance_id: str, details: Mapping[str, Any]) -> None:
        """Keep what Graph says of a number: its quality, and how many people its portfolio may write to first.

        A tier that is not known changes nothing.
        """
        values: dict[str, Any] = {}
        for meaning in told_at_first(details):
            match meaning:
                case SetLimit(limit):
                    values["messaging_limit"] = limit
                case SetQuality(quality):
                    values["quality"] = quality
        if not values:
            return
        mine = (cloud_numbers.c.instance_id == instance_id, cloud_numbers.c.organization_id == organization_id)
        async with self._database.begin() as connection:
            await connection.execute(update(cloud_numbers).where(*mine).values(values))
            told = await self._reviewed(connection, organization_id, instance_id)
        await enqueue(self._queues, told)

    async def set_messaging_limit(self, organization_id: UUID, instance_id: str, limit: int | None) -> None:
        """Say how many people the number's portfolio may write to first in 24 hours; None: without a limit."""
        if limit is not None and not 1 <= limit <= 1_000_000:
            raise Invalid("messaging_limit", f"is {limit}", remedy="give 1 to 1000000, or nothing for no limit")
        statement = (
            update(cloud_numbers)
            .where(cloud_numbers.c.instance_id == instance_id, cloud_numbers.c.organization_id == organization_id)
            .values(messaging_limit=limit)
        )
        async with self._database.begin() as connection:
            if (await connection.execute(statement)).rowcount == 0:
                raise Missing("number", instance_id[:60])


def _checked(value: str | None, field: str, form: re.Pattern[str], remedy: str) -> str | None:
    if value is None:
        return None
    value = value.strip()
    if not form.fullmatch(value):
        raise Invalid(field, f"has {len(value)} characters that do not fit", remedy=remedy)
    return value


def _base_url(value: str | None) -> str | None:
    """Refuse an address to which the token would travel unencrypted, unless it never leaves the machine."""
    if value is None:
        return None
    value = value.strip().rstrip("/")
    remedy = f"give {GRAPH_URL}, or http://127.0.0.1:… of a stand-in"
    try:
        parts = urlsplit(value)
    except ValueError as error:
        raise Invalid("base_url", "is no address", remedy=remedy) from error
    is_local = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1", "localhost"}
    if not (is_local or (parts.scheme == "https" and parts.hostname)) or parts.query or parts.username:
        raise Invalid("base_url", f"is {value[:80]!r}", remedy=remedy)
    return value
