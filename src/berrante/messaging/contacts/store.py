"""Contacts in the database."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.addresses import kind_of
from berrante.messaging.contacts.consent import address_hash
from berrante.messaging.contacts.details import name_key
from berrante.store import new_id

# In order of the addresses: two transactions that meet wait and never deadlock.
# The hash is address_hash of consent.py, computed where the rows are.
_REMEMBER: Final = text("""
    INSERT INTO contacts AS own (
        id, organization_id, instance_id, address_kind, address, whatsapp_address, name, name_key, consent,
        first_seen_at, last_message_at
    )
    SELECT given.id, CAST(:organization AS uuid), given.instance_id, given.kind, given.address, given.written,
           given.name, given.name_key,
           CASE WHEN opt_outs.address_hash IS NOT NULL THEN 'opted_out' ELSE coalesce(said.consent, 'unknown') END,
           CAST(:now AS timestamptz), given.wrote_at
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS given (
               id uuid, instance_id text, kind text, address text, written text, name text, name_key text,
               wrote_at timestamptz)
      LEFT JOIN LATERAL (SELECT other.consent FROM contacts AS other
                          WHERE other.organization_id = CAST(:organization AS uuid)
                            AND other.address = given.address AND other.consent <> 'unknown'
                          LIMIT 1) AS said ON true
      LEFT JOIN opt_outs ON opt_outs.organization_id = CAST(:organization AS uuid)
                        AND opt_outs.address_hash
                            = sha256(uuid_send(CAST(:organization AS uuid)) || convert_to(given.address, 'UTF8'))
     ORDER BY given.instance_id, given.address
        ON CONFLICT (instance_id, address) DO UPDATE
       SET name = CASE WHEN own.name_given OR excluded.name IS NULL THEN own.name ELSE excluded.name END,
           name_key = CASE WHEN own.name_given OR excluded.name IS NULL THEN own.name_key ELSE excluded.name_key END,
           last_message_at = greatest(own.last_message_at, excluded.last_message_at),
           whatsapp_address = excluded.whatsapp_address
    RETURNING own.id, own.instance_id, own.address
""")
# The update changes nothing, and so returns, and locks, those that are there.
_REMEMBER_ADDRESSED: Final = text("""
    INSERT INTO contacts AS own (
        id, organization_id, instance_id, address_kind, address, consent, first_seen_at
    )
    SELECT given.id, CAST(:organization AS uuid), CAST(:instance_id AS text), given.kind, given.address,
           CASE WHEN opt_outs.address_hash IS NOT NULL THEN 'opted_out' ELSE coalesce(said.consent, 'unknown') END,
           CAST(:now AS timestamptz)
      FROM unnest(CAST(:ids AS uuid[]), CAST(:kinds AS text[]), CAST(:addresses AS text[]), CAST(:hashes AS bytea[]))
               AS given (id, kind, address, hash)
      LEFT JOIN LATERAL (SELECT other.consent FROM contacts AS other
                          WHERE other.organization_id = CAST(:organization AS uuid)
                            AND other.address = given.address AND other.consent <> 'unknown'
                          LIMIT 1) AS said ON true
      LEFT JOIN opt_outs ON opt_outs.organization_id = CAST(:organization AS uuid)
                        AND opt_outs.address_hash = given.hash
     ORDER BY given.address
        ON CONFLICT (instance_id, address) DO UPDATE SET address = excluded.address
    RETURNING own.id, own.address
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Writer:
    """Who wrote to a number: the canonical address, as WhatsApp wrote it, by what name and when."""

    instance_id: str
    address: str
    written: str
    name: str | None
    wrote_at: datetime


async def remember_all(
    connection: AsyncConnection, organization_id: UUID, writers: Sequence[Writer], *, at: datetime
) -> dict[tuple[str, str], UUID]:
    """Return the contacts of all who wrote, by number and address, made if new.

    A later name or message is remembered; a name that the organization gave stays. Where WhatsApp writes the address in
    another spelling, that is the one that is written back to.
    """
    by_key: dict[tuple[str, str], Writer] = {}
    for writer in writers:
        key = writer.instance_id, writer.address
        before = by_key.get(key, writer)
        by_key[key] = Writer(
            instance_id=writer.instance_id,
            address=writer.address,
            written=writer.written,
            name=writer.name or before.name,
            wrote_at=max(writer.wrote_at, before.wrote_at),
        )
    rows = [
        {
            "id": new_id(),
            "instance_id": writer.instance_id,
            "kind": kind_of(writer.address).value,
            "address": writer.address,
            "written": writer.written if writer.written != writer.address else None,
            "name": writer.name,
            "name_key": name_key(writer.name) if writer.name else None,
            "wrote_at": writer.wrote_at,
        }
        for writer in by_key.values()
    ]
    given = {"organization": organization_id, "now": at, "rows": msgspec.json.encode(rows).decode()}
    found = (await connection.execute(_REMEMBER, given)).all()
    return {(row.instance_id, row.address): row.id for row in found}


async def remember_addressed(
    connection: AsyncConnection, *, organization_id: UUID, instance_id: str, addresses: Iterable[str], at: datetime
) -> dict[str, UUID]:
    """Return the contacts of canonical addresses that are to be written to, made if new.

    The instance must be the organization's own: the tables refuse a row that crosses tenants.
    """
    wanted = sorted(set(addresses))
    if not wanted:
        return {}
    given = {
        "organization": organization_id,
        "instance_id": instance_id,
        "ids": [new_id() for _ in wanted],
        "kinds": [kind_of(address).value for address in wanted],
        "addresses": wanted,
        "hashes": [address_hash(organization_id, address) for address in wanted],
        "now": at,
    }
    return {row.address: row.id for row in await connection.execute(_REMEMBER_ADDRESSED, given)}


async def remember(
    connection: AsyncConnection, *, organization_id: UUID, instance_id: str, address: str, at: datetime
) -> UUID:
    """Return the contact of one such address."""
    found = await remember_addressed(
        connection, organization_id=organization_id, instance_id=instance_id, addresses=[address], at=at
    )
    return found[address]
