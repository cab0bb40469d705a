"""API keys: how an organization's programs prove who they are."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import RowMapping, func, select, update
from sqlalchemy.dialects.postgresql import insert

from berrante.messaging.api_keys.models import api_keys
from berrante.messaging.errors import Invalid, Taken
from berrante.messaging.fields import named
from berrante.store import Database, new_id

_MARK: Final = "brt_live_"
_SECRET: Final = re.compile(re.escape(_MARK) + r"[A-Za-z0-9_-]{16,200}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiKey:
    """One key; its secret was shown once, and ``prefix`` is enough to tell keys apart."""

    id: UUID
    organization_id: UUID
    name: str
    prefix: str
    created_at: datetime
    revoked_at: datetime | None


class ApiKeys:
    """Issues, checks and revokes keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def issue(self, organization_id: UUID, name: str, secret: str | None = None) -> tuple[ApiKey, str]:
        """Make a key and return it with its secret, which is stored nowhere.

        With a ``secret`` of your own, a second call for the same organization returns the key that the first made.
        Raises ``Invalid``, or ``Taken`` if the secret is another organization's or was revoked.
        """
        name = named(name)
        secret = _MARK + secrets.token_urlsafe(32) if secret is None else _checked(secret)
        row = {
            "id": new_id(),
            "organization_id": organization_id,
            "name": name,
            "prefix": secret[: len(_MARK) + 4],
            "sha256": _hash(secret),
        }
        statement = insert(api_keys).values(row).on_conflict_do_nothing(index_elements=["sha256"])
        async with self._database.platform(because="a secret must be no other organization's") as connection:
            await connection.execute(statement)
            found = await connection.execute(select(api_keys).where(api_keys.c.sha256 == row["sha256"]))
            key = _key(found.one()._mapping)
        if key.organization_id != organization_id or key.revoked_at is not None:
            raise Taken("API key", f"{key.prefix}…")
        return key, secret

    async def verify(self, secret: str) -> ApiKey | None:
        """Return the key of a secret, or None if there is none or it was revoked."""
        sha256 = _hash(secret)
        query = select(api_keys).where(api_keys.c.sha256 == sha256, api_keys.c.revoked_at.is_(None))
        async with self._database.platform(because="whose key it is, is the question") as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None or not hmac.compare_digest(row.sha256, sha256):
            return None
        return _key(row._mapping)

    async def list(self, organization_id: UUID) -> list[ApiKey]:
        """Return an organization's keys, revoked ones too, the oldest first."""
        query = select(api_keys).where(api_keys.c.organization_id == organization_id).order_by(api_keys.c.id)
        async with self._database.tenant(organization_id) as connection:
            return [_key(row._mapping) for row in await connection.execute(query)]

    async def revoke(self, organization_id: UUID, key_id: UUID) -> bool:
        """Let a key open nothing any more; False if it is not there or was revoked before."""
        statement = (
            update(api_keys)
            .where(
                api_keys.c.organization_id == organization_id,
                api_keys.c.id == key_id,
                api_keys.c.revoked_at.is_(None),
            )
            .values(revoked_at=func.now())
        )
        async with self._database.tenant(organization_id) as connection:
            return (await connection.execute(statement)).rowcount == 1


def _checked(secret: str) -> str:
    if not _SECRET.fullmatch(secret):
        raise Invalid("secret", "is malformed", remedy=f"give {_MARK} and 16 to 200 letters, digits, '-' or '_'")
    return secret


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _key(row: RowMapping) -> ApiKey:
    return ApiKey(**{name: value for name, value in row.items() if name != "sha256"})
