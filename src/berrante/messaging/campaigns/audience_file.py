"""An audience from a CSV file: read as imports of contacts are, and kept as a campaign's list."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import delete, func, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.campaigns.audience import LONGEST_PARAM, MOST, Audience, Entry
from berrante.messaging.campaigns.campaign import owned
from berrante.messaging.campaigns.life import Status
from berrante.messaging.campaigns.models import campaign_entries, campaigns
from berrante.messaging.contact_imports.layout import FIELD, IGNORED, Layout, Unreadable, header_of
from berrante.messaging.contact_imports.reading import Record, read_records
from berrante.messaging.contact_imports.service import CHUNK, MAX_BYTES
from berrante.messaging.contacts.cells import unguarded
from berrante.messaging.errors import Invalid, WrongState
from berrante.messaging.fields import storable
from berrante.messaging.phones import country_code, phone_number
from berrante.store import Database

_BATCH: Final = 5_000
_SHOWN: Final = 40

_KEEP: Final = text("""
    INSERT INTO campaign_entries (campaign_id, position, organization_id, address, problem, params)
    SELECT CAST(:campaign AS uuid), CAST(:begin AS bigint) + given.place - 1, CAST(:organization AS uuid),
           given.line->>'address', given.line->>'problem', given.line->'params'
      FROM jsonb_array_elements(CAST(:lines AS jsonb)) WITH ORDINALITY AS given (line, place)
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What a file held: ``parameters`` are what its columns are called in texts, after ``params.``."""

    rows: int
    invalid: int
    parameters: tuple[str, ...]


async def take_file(
    database: Database, organization_id: UUID, campaign_id: UUID, source: IO[bytes], *, country: str | None = None
) -> Taken:
    """Make a file the audience of a campaign that was not started, in place of the one that it had: whole, or not.

    A row whose number is none is kept with what is wrong, and excluded when the audience is frozen. Raises ``Missing``,
    ``WrongState``, or ``Invalid`` for a file that cannot be read, with the line.
    """
    country = country_code(country) if country else None
    async with database.tenant(organization_id) as connection:
        campaign = await owned(connection, organization_id, campaign_id, locked=True)
        if campaign.status not in {Status.DRAFT, Status.SCHEDULED}:
            raise WrongState("campaign", campaign_id, state=campaign.status.value, needed="draft or scheduled")
        await connection.execute(delete(campaign_entries).where(campaign_entries.c.campaign_id == campaign_id))
        taken = await _keep(connection, organization_id, campaign_id, source, country)
        audience = Audience(rest_days=campaign.audience.rest_days).stored()
        mine = update(campaigns).where(campaigns.c.id == campaign_id)
        await connection.execute(mine.values(audience=audience, updated_at=func.now()))
    return taken


async def _keep(
    connection: AsyncConnection, organization_id: UUID, campaign_id: UUID, source: IO[bytes], country: str | None
) -> Taken:
    source.seek(0)
    file = _File(source, country)
    rows = invalid = 0
    batches = file.batches()
    try:
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            values: dict[str, Any] = {"campaign": campaign_id, "organization": organization_id, "begin": rows}
            await connection.execute(_KEEP, values | {"lines": msgspec.json.encode(batch).decode()})
            rows += len(batch)
            invalid += sum(1 for entry in batch if entry.problem is not None)
    except Unreadable as error:
        raise Invalid(
            "file", f"cannot be taken: {error}", remedy="nothing was changed: mend it, and send it again"
        ) from error
    if not rows:
        raise Invalid("file", "has no rows", remedy="give a line that names the columns, and a number in each after it")
    return Taken(rows=rows, invalid=invalid, parameters=file.parameters)


class _File:
    """Reads one file, a window at a time."""

    def __init__(self, source: IO[bytes], country: str | None) -> None:
        self._source = source
        self._country = country
        self.line = 1
        self.parameters: tuple[str, ...] = ()

    def batches(self) -> Iterator[list[Entry]]:
        """Yield the lines of the file; raises ``Unreadable``."""
        window, rows = self._source.read(CHUNK), 0
        is_last = len(window) < CHUNK
        layout, header = header_of(window, is_last=is_last)
        names = _names(layout)
        self.parameters = tuple(name for name in names if name not in {"", "phone"})
        window, self.line = window[header:], 2
        while window or not is_last:
            read = read_records(window, line=self.line, delimiter=layout.delimiter, is_last=is_last, most=_BATCH)
            if read.records:
                rows += len(read.records)
                if rows > MOST:
                    raise Unreadable(self.line, f"is beyond {MOST} rows: split the file over several campaigns")
                yield [_entry(record, names, self._country) for record in read.records]
            elif read.size == 0 and (is_last or len(window) > 2 * CHUNK):
                raise Unreadable(self.line, f"is longer than {len(window)} bytes: is a quote not closed?")
            window, self.line = window[read.size :], self.line + read.lines
            if not is_last and (len(window) < CHUNK or not read.size):
                more = self._source.read(CHUNK)
                is_last = len(more) < CHUNK
                window += more
            if self._source.tell() > MAX_BYTES:
                raise Unreadable(self.line, f"is beyond {MAX_BYTES} bytes: split the file")


def _names(layout: Layout) -> list[str]:
    """Return what each column is called in texts; columns that say who agreed belong into an import of contacts."""
    for heading, meaning in zip(layout.headings, layout.meanings, strict=True):
        if meaning.startswith("consent"):
            raise Unreadable(1, f"column {heading!r}: an audience opts nobody in: import the contacts, or leave it out")
    return ["" if meaning == IGNORED else meaning.removeprefix(FIELD) for meaning in layout.meanings]


def _entry(record: Record, names: list[str], country: str | None) -> Entry:
    if any(storable(cell) != cell.replace("\0", "\ufffd") for cell in record.cells):
        raise Unreadable(record.line, "is not UTF-8: save the file as CSV UTF-8")
    cells = [storable(unguarded(cell.strip())) for cell in record.cells]
    if len(cells) > len(names) and any(cells[len(names) :]):
        reason = f"has {len(cells)} cells, the first line {len(names)}: is a separator not quoted?"
        raise Unreadable(record.line, reason)
    given = {name: cell for name, cell in zip(names, cells, strict=False) if name and cell}
    for name, cell in given.items():
        if len(cell) > LONGEST_PARAM:
            raise Unreadable(record.line, f"has {len(cell)} characters in {name!r}: keep at most {LONGEST_PARAM}")
    phone = given.pop("phone", "")
    try:
        return Entry(address=phone_number(phone, country=country), params=given)
    except Invalid as error:
        return Entry(address=phone[:_SHOWN], params=given, problem=f"line {record.line}: {error}")
