"""API keys: how an organization's programs prove who they are."""

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from sqlalchemy import RowMapping, bindparam, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging import audit
from berrante.messaging.api_keys.models import api_keys
from berrante.messaging.audit import Actor
from berrante.messaging.errors import Denied, Invalid, Missing, Taken
from berrante.messaging.fields import named
from berrante.messaging.people.roles import SCOPES, WORK_SCOPES
from berrante.store import Database, new_id

_MARK: Final = "brt_live_"
_SECRET: Final = re.compile(re.escape(_MARK) + r"[A-Za-z0-9_-]{16,200}")
_MOST: Final = 500
_MOST_NETWORKS: Final = 50
_USE_NOTED_S: Final = 60
# Made once: every request asks it.
_GOOD: Final = select(api_keys).where(
    api_keys.c.sha256 == bindparam("given"),
    api_keys.c.revoked_at.is_(None),
    or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > func.now()),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiKey:
    """One key; its secret was shown once, and ``prefix`` is enough to tell keys apart."""

    id: UUID
    organization_id: UUID
    name: str
    prefix: str
    created_at: datetime
    revoked_at: datetime | None
    scopes: Sequence[str]
    allowed_ips: Sequence[str]
    expires_at: datetime | None
    last_used_at: datetime | None

    def admits(self, address: str | None) -> bool:
        """Tell whether the key may be used from an address; without a list, from anywhere."""
        if not self.allowed_ips:
            return True
        try:
            caller = ipaddress.ip_address(address or "")
        except ValueError:
            return False
        if isinstance(caller, ipaddress.IPv6Address) and caller.ipv4_mapped:
            caller = caller.ipv4_mapped
        return any(caller in ipaddress.ip_network(network) for network in self.allowed_ips)


class ApiKeys:
    """Issues, checks, changes and revokes keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def issue(
        self,
        organization_id: UUID,
        name: str,
        secret: str | None = None,
        *,
        scopes: Collection[str] = WORK_SCOPES,
        allowed_ips: Sequence[str] = (),
        expires_at: datetime | None = None,
        actor: Actor = audit.COMMAND,
        may: frozenset[str] = SCOPES,
    ) -> tuple[ApiKey, str]:
        """Make a key and return it with its secret, which is stored nowhere.

        ``may`` are the scopes of whoever asks: nobody makes a key that can do more than themselves. With a ``secret``
        of your own, a second call for the same organization returns the key that the first made.
        Raises ``Invalid``, ``Denied``, or ``Taken`` if the secret is another organization's or was revoked.
        """
        secret = _MARK + secrets.token_urlsafe(32) if secret is None else _checked(secret)
        row = {
            "id": new_id(),
            "organization_id": organization_id,
            "name": named(name),
            "prefix": secret[: len(_MARK) + 4],
            "sha256": _hash(secret),
            "scopes": _granted(scopes, may),
            "allowed_ips": _networks(allowed_ips),
            "expires_at": _future(expires_at),
        }
        statement = insert(api_keys).values(row).on_conflict_do_nothing(index_elements=["sha256"])
        async with self._database.platform(because="a secret must be no other organization's") as connection:
            made = (await connection.execute(statement)).rowcount == 1
            found = await connection.execute(select(api_keys).where(api_keys.c.sha256 == row["sha256"]))
            key = _key(found.one()._mapping)
            if made:
                await _record(connection, "created", None, key, actor)
        if key.organization_id != organization_id or key.revoked_at is not None:
            raise Taken("API key", f"{key.prefix}…")
        return key, secret

    async def verify(self, secret: str) -> ApiKey | None:
        """Return the key of a secret, or None if there is none, it was revoked or it expired.

        That it was used is noted at most once a minute.
        """
        sha256 = _hash(secret)
        async with self._database.platform(because="whose key it is, is the question") as connection:
            row = (await connection.execute(_GOOD, {"given": sha256})).one_or_none()
            if row is None or not hmac.compare_digest(row.sha256, sha256):
                return None
            key = _key(row._mapping)
            if key.last_used_at is None or (datetime.now(UTC) - key.last_used_at).total_seconds() > _USE_NOTED_S:
                # Whoever else notes it in this moment is not waited for.
                free = select(api_keys.c.id).where(api_keys.c.id == key.id).with_for_update(skip_locked=True)
                used = update(api_keys).where(api_keys.c.id.in_(free))
                await connection.execute(used.values(last_used_at=func.now()))
        return key

    async def get(self, organization_id: UUID, key_id: UUID) -> ApiKey | None:
        """Return one of an organization's keys, or None."""
        query = select(api_keys).where(api_keys.c.organization_id == organization_id, api_keys.c.id == key_id)
        async with self._database.tenant(organization_id) as connection:
            row = (await connection.execute(query)).one_or_none()
        return _key(row._mapping) if row else None

    async def list(self, organization_id: UUID, limit: int = _MOST, after: UUID | None = None) -> list[ApiKey]:
        """Return up to ``limit`` (1 to 500) of an organization's keys, revoked ones too, newest first."""
        if not 1 <= limit <= _MOST:
            raise Invalid("limit", f"is {limit}", remedy=f"give 1 to {_MOST}")
        query = select(api_keys).where(api_keys.c.organization_id == organization_id)
        if after is not None:
            query = query.where(api_keys.c.id < after)
        async with self._database.tenant(organization_id) as connection:
            found = await connection.execute(query.order_by(api_keys.c.id.desc()).limit(limit))
            return [_key(row._mapping) for row in found]

    async def change(
        self,
        organization_id: UUID,
        key_id: UUID,
        *,
        actor: Actor,
        may: frozenset[str],
        name: str | None = None,
        scopes: Collection[str] | None = None,
        allowed_ips: Sequence[str] | None = None,
        expires_at: datetime | None = None,
        keep_expiry: bool = True,
    ) -> ApiKey:
        """Change what is given; ``expires_at`` counts unless ``keep_expiry``, and None is never.

        Raises ``Missing`` (also for a revoked key), ``Invalid`` and ``Denied``.
        """
        values: dict[str, object] = {}
        if name is not None:
            values["name"] = named(name)
        if scopes is not None:
            values["scopes"] = _granted(scopes, may)
        if allowed_ips is not None:
            values["allowed_ips"] = _networks(allowed_ips)
        if not keep_expiry:
            values["expires_at"] = _future(expires_at)
        return await self._changed(organization_id, key_id, values, verb="updated", actor=actor, may=may)

    async def revoke(
        self, organization_id: UUID, key_id: UUID, *, actor: Actor = audit.COMMAND, may: frozenset[str] = SCOPES
    ) -> bool:
        """Let a key open nothing any more; False if it is not there or was revoked before. Raises ``Denied``."""
        values: dict[str, object] = {"revoked_at": func.now()}
        try:
            await self._changed(organization_id, key_id, values, verb="revoked", actor=actor, may=may)
        except Missing:
            return False
        return True

    async def _changed(
        self,
        organization_id: UUID,
        key_id: UUID,
        values: dict[str, object],
        *,
        verb: str,
        actor: Actor,
        may: frozenset[str],
    ) -> ApiKey:
        mine = (
            api_keys.c.organization_id == organization_id,
            api_keys.c.id == key_id,
            api_keys.c.revoked_at.is_(None),
        )
        async with self._database.tenant(organization_id) as connection:
            row = (await connection.execute(select(api_keys).where(*mine).with_for_update())).one_or_none()
            if row is None:
                raise Missing("API key", key_id)
            before = _key(row._mapping)
            _granted(before.scopes, may)  # nor does anybody change a key that can do more
            if not values:
                return before
            changed = update(api_keys).where(*mine).values(values).returning(api_keys)
            after = _key((await connection.execute(changed)).one()._mapping)
            await _record(connection, verb, before, after, actor)
        return after


def _checked(secret: str) -> str:
    if not _SECRET.fullmatch(secret):
        raise Invalid("secret", "is malformed", remedy=f"give {_MARK} and 16 to 200 letters, digits, '-' or '_'")
    return secret


def _granted(scopes: Collection[str], may: frozenset[str]) -> list[str]:
    wanted = frozenset(scopes)
    if unknown := wanted - SCOPES:
        raise Invalid("scopes", f"has {min(unknown)[:40]!r}", remedy=f"give any of {', '.join(sorted(SCOPES))}")
    if missing := wanted - may:
        raise Denied(f"the scope {min(missing)!r} is not yours to give: ask an admin")
    return sorted(wanted)


def _networks(networks: Sequence[str]) -> list[str]:
    if len(networks) > _MOST_NETWORKS:
        raise Invalid("allowed_ips", f"has {len(networks)} entries", remedy=f"give at most {_MOST_NETWORKS}")
    found: dict[str, None] = {}
    for index, network in enumerate(networks):
        try:
            found[str(ipaddress.ip_network(network.strip()))] = None
        except ValueError:
            raise Invalid(
                f"allowed_ips[{index}]", f"is {network[:60]!r}", remedy="give a network such as 203.0.113.0/24"
            ) from None
    return list(found)


def _future(at: datetime | None) -> datetime | None:
    if at is None:
        return None
    if at.tzinfo is None:
        raise Invalid("expires_at", "has no time zone", remedy="give a time such as 2030-01-01T00:00:00Z")
    if at <= datetime.now(UTC):
        raise Invalid("expires_at", "is in the past", remedy="give a later time, or leave it out")
    return at


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _key(row: RowMapping) -> ApiKey:
    return ApiKey(**{name: value for name, value in row.items() if name != "sha256"})


async def _record(connection: AsyncConnection, verb: str, before: ApiKey | None, after: ApiKey, actor: Actor) -> None:
    await audit.record(
        connection,
        organization_id=after.organization_id,
        actor=actor,
        action=f"api_key.{verb}",
        subject=("api_key", after.id),
        before=_told(before),
        after=_told(after),
    )


def _told(key: ApiKey | None) -> dict[str, object] | None:
    if key is None:
        return None
    return {
        "name": key.name,
        "prefix": key.prefix,
        "scopes": list(key.scopes),
        "allowed_ips": list(key.allowed_ips),
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }
