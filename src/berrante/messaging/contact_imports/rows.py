"""From a record of the file to a contact, or to the reason why it is none: pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from berrante.messaging.addresses import as_written
from berrante.messaging.contact_imports.layout import FIELD, IGNORED, Layout
from berrante.messaging.contact_imports.reading import Record
from berrante.messaging.contacts.cells import unguarded
from berrante.messaging.contacts.consent import Consent, Evidence
from berrante.messaging.contacts.details import (
    FieldValue,
    checked_language,
    checked_name,
    checked_tags,
    checked_value,
    merged_fields,
    name_key,
)
from berrante.messaging.errors import Invalid
from berrante.messaging.phones import phone_number

_SEPARATORS: Final = str.maketrans(";|", ",,")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A contact that a file speaks of; what is None or empty there leaves what is known."""

    line: int
    address: str
    name: str | None
    name_key: str | None
    language: str | None
    fields: dict[str, FieldValue]
    tags: tuple[str, ...]
    consent: Consent | None
    evidence: Evidence | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """Why a line is not imported, and in which column the reason stands."""

    line: int
    column: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """Reads records of one file. ``now`` is when a consent without a time of its own was given."""

    layout: Layout
    country: str | None
    now: datetime
    by: str | None
    source: str

    def read(self, record: Record) -> Row | Rejected:
        """Return the contact of a record, or why it is none."""
        cells = record.cells
        layout = self.layout
        if len(cells) > len(layout.meanings) and any(cell.strip() for cell in cells[len(layout.meanings) :]):
            reason = f"has {len(cells)} cells, the first line {len(layout.meanings)}: is a separator not quoted?"
            return Rejected(line=record.line, column="", reason=reason)
        given: dict[str, str] = {}
        for meaning, heading, cell in zip(layout.meanings, layout.headings, cells, strict=False):
            text = unguarded(cell.strip())
            if not text or meaning == IGNORED:
                continue
            if not text.isascii():
                try:
                    text.encode()
                except UnicodeEncodeError:
                    reason = "is not UTF-8: save the file as CSV UTF-8"
                    return Rejected(line=record.line, column=heading, reason=reason)
            given[meaning] = text
        try:
            return self._row(record.line, given)
        except Invalid as error:
            reason = str(error).removeprefix(error.field).strip()
            return Rejected(line=record.line, column=self._heading(error.field), reason=reason)

    def _row(self, line: int, given: dict[str, str]) -> Row:
        name = given.get("name")
        name = checked_name(name) if name is not None else None
        language = given.get("language")
        tags = given.get("tags")
        consent, evidence = self._consent(given)
        fields: dict[str, FieldValue | None] = {
            meaning.removeprefix(FIELD): checked_value(text, field=meaning)
            for meaning, text in given.items()
            if meaning.startswith(FIELD)
        }
        return Row(
            line=line,
            address=self._address(given.get("phone", "")),
            name=name,
            name_key=name_key(name) if name is not None else None,
            language=checked_language(language) if language is not None else None,
            fields=merged_fields({}, fields) if fields else {},
            tags=_tags(tags) if tags else (),
            consent=consent,
            evidence=evidence,
        )

    def _address(self, text: str) -> str:
        if "@" in text or text[:1].isupper():
            address = as_written(text, field="phone")
            if not address.startswith("+"):
                return address
            text = address
        return phone_number(text, field="phone", country=self.country)

    def _consent(self, given: dict[str, str]) -> tuple[Consent | None, Evidence | None]:
        said = given.get("consent", "").lower()
        if said in {"", Consent.UNKNOWN.value}:
            return None, None
        if said not in {Consent.OPTED_IN.value, Consent.OPTED_OUT.value}:
            raise Invalid("consent", f"is {said[:40]!r}", remedy="give opted_in, opted_out or nothing")
        source = given.get("consent_source")
        if source is None and said == Consent.OPTED_IN:
            raise Invalid("consent_source", "is missing", remedy="say where the person opted in")
        at = self.now
        if "consent_at" in given:
            try:
                at = datetime.fromisoformat(given["consent_at"])
            except ValueError:
                shown = given["consent_at"][:40]
                raise Invalid("consent_at", f"is {shown!r}", remedy="give a date or time of ISO 8601") from None
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
            if at > self.now:
                raise Invalid("consent_at", "lies in the future", remedy="give when the person said it")
        evidence = Evidence(source=source or self.source, at=at, text=given.get("consent_text"), by=self.by)
        return Consent(said), evidence.checked()

    def _heading(self, field: str) -> str:
        """Return what the file calls the column."""
        meaning = {"source": "consent_source", "text": "consent_text", "at": "consent_at"}.get(field, field)
        if meaning in self.layout.meanings:
            return self.layout.headings[self.layout.meanings.index(meaning)]
        return meaning.removeprefix(FIELD)


@lru_cache(maxsize=10_000)  # files say the same few over and over
def _tags(text: str) -> tuple[str, ...]:
    return tuple(checked_tags(part for part in text.translate(_SEPARATORS).split(",") if part.strip()))
