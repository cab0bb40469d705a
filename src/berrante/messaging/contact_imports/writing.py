"""Stores a batch of rows in a few statements, within the transaction that also stores how far the import came."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.addresses import kind_of
from berrante.messaging.contact_imports.rows import Rejected, Row
from berrante.messaging.contacts.consent import Consent
from berrante.messaging.contacts.details import checked_tags, merged_fields
from berrante.messaging.contacts.models import contacts
from berrante.messaging.endpoints.contacts import opted_out
from berrante.messaging.endpoints.emitting import Happening
from berrante.messaging.errors import Invalid
from berrante.messaging.quotas.service import admit_contacts
from berrante.store import new_id

# The hash is address_hash of messaging/contacts/consent.py, computed where the rows are.
_HASH: Final = "sha256(uuid_send(CAST(:organization AS uuid)) || convert_to({}, 'UTF8'))"

_BARRED: Final = text(f"""
    SELECT given.address, opt_outs.erased_at IS NOT NULL AS erased
      FROM unnest(CAST(:addresses AS text[])) AS given (address)
      JOIN opt_outs ON opt_outs.organization_id = CAST(:organization AS uuid)
                   AND opt_outs.address_hash = {_HASH.format("given.address")}
""")  # noqa: S608  constants alone

# In order of the addresses, so that two imports that meet wait for each other and never deadlock. What was said later,
# here or at another number, stays, and nobody who opted out is opted in by a list.
_UPSERT: Final = text(f"""
    WITH given AS (
        SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS given (
            id uuid, address text, kind text, name text, name_key text, language text, fields jsonb, tags jsonb,
            state text, source text, words text, by text, at timestamptz
        )
    ), stored AS (
        INSERT INTO contacts AS own (
            id, organization_id, instance_id, address_kind, address, name, name_key, name_given, language, fields, tags,
            consent, consent_at, first_seen_at, updated_at
        )
        SELECT given.id, CAST(:organization AS uuid), CAST(:instance AS text), given.kind, given.address, given.name,
               given.name_key, given.name IS NOT NULL, given.language, given.fields,
               ARRAY(SELECT jsonb_array_elements_text(given.tags)),
               CASE WHEN opt_outs.address_hash IS NOT NULL THEN 'opted_out'
                    WHEN said.consent_at > given.at THEN said.consent
                    ELSE coalesce(given.state, said.consent, 'unknown') END,
               CASE WHEN said.consent_at > given.at THEN said.consent_at
                    ELSE coalesce(given.at, said.consent_at) END,
               CAST(:now AS timestamptz), CAST(:now AS timestamptz)
          FROM given
          LEFT JOIN LATERAL (SELECT other.consent, other.consent_at FROM contacts AS other
                              WHERE other.organization_id = CAST(:organization AS uuid)
                                AND other.address = given.address AND other.consent <> 'unknown'
                              LIMIT 1) AS said ON true
          LEFT JOIN opt_outs ON opt_outs.organization_id = CAST(:organization AS uuid)
                            AND opt_outs.address_hash = {_HASH.format("given.address")}
         ORDER BY given.address
            ON CONFLICT (instance_id, address) DO UPDATE
           SET name = coalesce(excluded.name, own.name),
               name_key = coalesce(excluded.name_key, own.name_key),
               name_given = own.name_given OR excluded.name_given,
               language = coalesce(excluded.language, own.language),
               fields = own.fields || excluded.fields,
               tags = ARRAY(SELECT DISTINCT tag FROM unnest(own.tags || excluded.tags) AS tag ORDER BY tag),
               (consent, consent_at) = (
                   SELECT CASE WHEN is_news THEN excluded.consent ELSE own.consent END,
                          CASE WHEN is_news THEN excluded.consent_at ELSE own.consent_at END
                     FROM (SELECT excluded.consent_at IS NOT NULL AND own.consent NOT IN ('opted_out', excluded.consent)
                              AND (own.consent_at IS NULL OR own.consent_at <= excluded.consent_at)) AS news (is_news)
               ),
               updated_at = excluded.updated_at
        RETURNING own.id, own.address, own.consent, own.consent_at, xmax = 0 AS created
    ), logged AS (
        INSERT INTO consents (id, organization_id, instance_id, contact_id, state, source, text, by, at)
        SELECT gen_random_uuid(), CAST(:organization AS uuid), CAST(:instance AS text), stored.id, given.state,
               given.source, given.words, given.by, given.at
          FROM stored JOIN given USING (address)
         WHERE given.state = stored.consent AND given.at = stored.consent_at
           AND NOT EXISTS (SELECT FROM consents AS before WHERE before.contact_id = stored.id
                              AND before.state = given.state AND before.at = given.at)
    )
    SELECT id, address, consent, consent_at, created FROM stored
""")  # noqa: S608  constants alone

# The same at the organization's other numbers.
_CONSENT: Final = text("""
    WITH given AS (
        SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS given (
            address text, state text, source text, words text, by text, at timestamptz
        )
    ), changed AS (
        UPDATE contacts
           SET consent = given.state, consent_at = given.at, updated_at = CAST(:now AS timestamptz)
          FROM given
         WHERE contacts.organization_id = CAST(:organization AS uuid)
           AND contacts.address = ANY(CAST(:addresses AS text[])) AND contacts.address = given.address
           AND contacts.instance_id <> CAST(:instance AS text)
           AND contacts.consent NOT IN ('opted_out', given.state)
           AND (contacts.consent_at IS NULL OR contacts.consent_at <= given.at)
        RETURNING contacts.id, contacts.instance_id, given.*
    )
    INSERT INTO consents (id, organization_id, instance_id, contact_id, state, source, text, by, at)
    SELECT gen_random_uuid(), CAST(:organization AS uuid), changed.instance_id, changed.id, changed.state,
           changed.source, changed.words, changed.by, changed.at
      FROM changed
""")

_BAR: Final = text(f"""
    INSERT INTO opt_outs (organization_id, address_hash, opted_out_at)
    SELECT DISTINCT ON (contacts.address) contacts.organization_id, {_HASH.format("contacts.address")},
           coalesce(contacts.consent_at, CAST(:now AS timestamptz))
      FROM contacts
     WHERE contacts.organization_id = CAST(:organization AS uuid) AND contacts.consent = 'opted_out'
       AND contacts.address = ANY(CAST(:addresses AS text[]))
     ORDER BY contacts.address
        ON CONFLICT DO NOTHING
""")  # noqa: S608  constants alone


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What became of a batch's rows."""

    created: int
    updated: int
    rejected: list[Rejected]
    happenings: list[Happening] = field(default_factory=list)


async def write_rows(
    connection: AsyncConnection, rows: Sequence[Row], *, organization_id: UUID, instance_id: str, now: datetime
) -> Written:
    """Store the rows; one whose person was erased, or opted out and is opted in by it, is rejected.

    Of rows of one address, the later fills in and replaces what the earlier says; each counts. Raises
    ``QuotaExceeded``: then the transaction must not be committed.
    """
    rejected: list[Rejected] = []
    barred = await _barred_of(connection, rows, organization_id)
    taken = await _taken(connection, rows, instance_id, barred, rejected)
    merged = _merged(taken)
    if not merged:
        return Written(created=0, updated=0, rejected=rejected)
    given = [
        {
            "id": new_id(),
            "address": row.address,
            "kind": kind_of(row.address).value,
            "name": row.name,
            "name_key": row.name_key,
            "language": row.language,
            "fields": row.fields,
            "tags": row.tags,
            **_said(row),
        }
        for row in merged
    ]
    place = {"organization": organization_id, "instance": instance_id, "now": now}
    done = (await connection.execute(_UPSERT, {**place, "rows": _json(given)})).all()
    created = sum(row.created for row in done)
    if created:
        await admit_contacts(connection, organization_id, adding=0)  # they are there already
    await _consents(connection, merged, place)
    left = {row.address: row for row in merged if row.consent is Consent.OPTED_OUT and row.address not in barred}
    return Written(
        created=created,
        updated=len(taken) - created,
        rejected=rejected,
        happenings=[
            _opted_out(left[row.address], row.id, organization_id=organization_id, instance_id=instance_id)
            for row in done
            if row.address in left and row.consent == Consent.OPTED_OUT
        ],
    )


def _opted_out(row: Row, contact_id: UUID, *, organization_id: UUID, instance_id: str) -> Happening:
    assert row.evidence is not None
    return opted_out(
        organization_id=organization_id,
        instance_id=instance_id,
        contact_id=contact_id,
        address=row.address,
        source=row.evidence.source,
        text=row.evidence.text,
        at=row.evidence.at,
    )


async def _barred_of(connection: AsyncConnection, rows: Sequence[Row], organization_id: UUID) -> dict[str, bool]:
    """Return who must not be written to already, and whether it was erased."""
    addresses = list({row.address for row in rows})
    found = await connection.execute(_BARRED, {"organization": organization_id, "addresses": addresses})
    return {row.address: row.erased for row in found}


async def _taken(
    connection: AsyncConnection,
    rows: Sequence[Row],
    instance_id: str,
    erased: dict[str, bool],
    rejected: list[Rejected],
) -> list[Row]:
    detailed = [row.address for row in rows if row.fields or row.tags]
    query = select(contacts.c.address, contacts.c.fields, contacts.c.tags).where(
        contacts.c.instance_id == instance_id, contacts.c.address == text("ANY(CAST(:addresses AS text[]))")
    )
    known = {row.address: row for row in (await connection.execute(query, {"addresses": detailed}) if detailed else ())}
    taken = []
    for row in rows:
        problem = _barred(row, erased) or _overfull(row, known.get(row.address))
        if problem is None:
            taken.append(row)
        else:
            rejected.append(problem)
    return taken


def _barred(row: Row, erased: dict[str, bool]) -> Rejected | None:
    if erased.get(row.address):
        reason = "was erased: make the contact anew, with the evidence of a new opt-in"
        return Rejected(line=row.line, column="phone", reason=reason)
    if row.address in erased and row.consent is Consent.OPTED_IN:
        reason = "opted out before: record the new opt-in on the contact itself, with its evidence"
        return Rejected(line=row.line, column="consent", reason=reason)
    return None


def _overfull(row: Row, known: Any) -> Rejected | None:  # noqa: ANN401  a database row
    if known is None:
        return None
    try:
        merged_fields(known.fields, row.fields)
        checked_tags({*known.tags, *row.tags})
    except Invalid as error:
        return Rejected(line=row.line, column=error.field, reason=str(error).removeprefix(error.field).strip())
    return None


def _merged(rows: Iterable[Row]) -> list[Row]:
    """Return one row per address, as if they had been stored one after the other."""
    by_address: dict[str, Row] = {}
    for row in rows:
        earlier = by_address.get(row.address)
        if earlier is None:
            by_address[row.address] = row
            continue
        says = row if row.consent is not None and earlier.consent is not Consent.OPTED_OUT else earlier
        by_address[row.address] = Row(
            line=row.line,
            address=row.address,
            name=row.name or earlier.name,
            name_key=row.name_key or earlier.name_key,
            language=row.language or earlier.language,
            fields={**earlier.fields, **row.fields},
            tags=tuple(sorted({*earlier.tags, *row.tags})),
            consent=says.consent,
            evidence=says.evidence,
        )
    return list(by_address.values())


async def _consents(connection: AsyncConnection, rows: Sequence[Row], place: dict[str, Any]) -> None:
    said = [{"address": row.address, **_said(row)} for row in rows if row.consent is not None]
    if not said:
        return
    addresses = [each["address"] for each in said]
    await connection.execute(_CONSENT, {**place, "addresses": addresses, "rows": _json(said)})
    out = [each["address"] for each in said if each["state"] == Consent.OPTED_OUT]
    if out:
        await connection.execute(_BAR, {**place, "addresses": out})


def _said(row: Row) -> dict[str, Any]:
    if row.consent is None or row.evidence is None:
        return {}
    evidence = row.evidence
    return {
        "state": row.consent.value,
        "source": evidence.source,
        "words": evidence.text,
        "by": evidence.by,
        "at": evidence.at,
    }


def _json(rows: list[dict[str, Any]]) -> str:
    return msgspec.json.encode(rows).decode()
