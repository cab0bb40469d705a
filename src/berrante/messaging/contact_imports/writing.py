"""Stores a batch of rows in a few statements, within the transaction that also stores how far the import came."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.addresses import kind_of
from berrante.messaging.contact_imports.rows import Rejected, Row
from berrante.messaging.contact_imports.statements import BAR, BARRED, CONSENT, NEARLY_FULL, UPSERT
from berrante.messaging.contacts.consent import Consent
from berrante.messaging.contacts.details import LARGEST_FIELDS, MAX_FIELDS, MAX_TAGS, checked_tags, merged_fields
from berrante.messaging.endpoints.contacts import opted_out
from berrante.messaging.endpoints.emitting import Happening
from berrante.messaging.errors import Invalid
from berrante.messaging.quotas.service import admit_contacts
from berrante.store import new_id

#: Bytes of JSON that a custom field takes at least: ``"a": 1, ``.
_SHORTEST_FIELD: Final = 8


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
    leaving = {row.address: row for row in merged if row.consent is Consent.OPTED_OUT and row.address not in barred}
    done = (await connection.execute(UPSERT, {**place, "rows": _json(given), "leaving": list(leaving)})).one()
    if done.created:
        await admit_contacts(connection, organization_id, adding=0)  # they are there already
    await _consents(connection, merged, place)
    return Written(
        created=done.created,
        updated=len(taken) - done.created,
        rejected=rejected,
        happenings=[
            _opted_out(leaving[address], UUID(id_), organization_id=organization_id, instance_id=instance_id)
            for address, id_ in (done.left or {}).items()
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
    found = await connection.execute(BARRED, {"organization": organization_id, "addresses": addresses})
    return {row.address: row.erased for row in found}


async def _taken(
    connection: AsyncConnection,
    rows: Sequence[Row],
    instance_id: str,
    erased: dict[str, bool],
    rejected: list[Rejected],
) -> list[Row]:
    detailed = [row.address for row in rows if row.fields or row.tags]
    known: dict[str, Any] = {}
    if detailed:
        fields = max(len(msgspec.json.encode(row.fields)) + 2 * len(row.fields) for row in rows)
        room = {
            "tags": MAX_TAGS - max(len(row.tags) for row in rows),
            "fields": min(
                _SHORTEST_FIELD * (MAX_FIELDS - max(len(row.fields) for row in rows)), LARGEST_FIELDS - fields - 2
            ),
        }
        found = await connection.execute(NEARLY_FULL, {"instance": instance_id, "addresses": detailed, **room})
        known = {row.address: row for row in found}
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
    await connection.execute(CONSENT, {**place, "addresses": addresses, "rows": _json(said)})
    out = [each["address"] for each in said if each["state"] == Consent.OPTED_OUT]
    if out:
        await connection.execute(BAR, {**place, "addresses": out})


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
