"""Reading CSV files: records whole whatever the windows, headings as people write them, a reason for every bad row."""

import csv
import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berrante.messaging.contact_imports.layout import Layout, Unreadable, delimiter_of, read_header
from berrante.messaging.contact_imports.reading import Record, read_records
from berrante.messaging.contact_imports.rows import Reader, Rejected, Row
from berrante.messaging.contacts.cells import guarded, unguarded

_NOW = datetime(2026, 11, 1, tzinfo=UTC)
_cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@given(st.lists(st.lists(_cells, min_size=2, max_size=3), max_size=8), st.integers(1, 30), st.integers(1, 4))
def test_however_windows_fall_the_records_are_those_of_the_file(rows: list[list[str]], window: int, most: int) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\r\n").writerows(rows)
    data = written.getvalue().encode()
    found: list[list[str]] = []
    position, line, size = 0, 2, window
    while position < len(data):
        is_last = position + size >= len(data)
        read = read_records(data[position : position + size], line=line, delimiter=",", is_last=is_last, most=most)
        assert all(line <= record.line < line + read.lines for record in read.records)
        found += [record.cells for record in read.records]
        position, line = position + read.size, line + read.lines
        size = window if read.size else size + window
    assert found == [row for row in csv.reader(io.StringIO(written.getvalue(), newline="")) if any(map(str.strip, row))]


def test_a_quote_that_is_never_closed_is_named_by_its_line() -> None:
    with pytest.raises(Unreadable, match="line 3: begins a quoted cell that never ends"):
        read_records(b'a,b\n"c,d\ne', line=2, delimiter=",", is_last=True, most=9)
    with pytest.raises(Unreadable, match="line 2: cannot be read"):
        read_records(b'"' + b"x" * 200_000, line=2, delimiter=",", is_last=True, most=9)


@pytest.mark.parametrize(
    ("line", "meanings"),
    [
        ("phone,name", ("phone", "name")),
        ("Telefone;Nome;Etiquetas;Data de Nascimento", ("phone", "name", "tags", "field:data_de_nascimento")),
        ("WhatsApp\tIdioma\t\tid", ("phone", "language", "", "")),
        ("field.name,phone", ("field:name", "phone")),
    ],
)
def test_headings_are_read_as_people_write_them(line: str, meanings: tuple[str, ...]) -> None:
    delimiter = delimiter_of(line)
    assert read_header(line.split(delimiter), delimiter=delimiter).meanings == meanings


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (["name"], "no column is called 'phone'"),
        (["phone", "Telefone"], "means the same as another"),
        (["phone", "1st"], "is no field's name"),
        (["phone", *(f"f{n}" for n in range(100))], "has 101 columns"),
    ],
)
def test_a_header_that_cannot_be_read_says_why(cells: list[str], reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read_header(cells, delimiter=",")


def _read(headings: str, line: str, country: str | None = None) -> Row | Rejected:
    layout: Layout = read_header(headings.split(","), delimiter=",")
    reader = Reader(layout=layout, country=country, now=_NOW, by="me", source="import x.csv")
    return reader.read(Record(7, line.split(",")))


def test_a_row_is_a_contact() -> None:
    row = _read(
        "Telefone,nome,tags,idioma,cidade,consent,consent_source,consent_at",
        "(85) 8765-4321,João,VIP;b|b,pt_BR,São Paulo,opted_in,site,2026-01-31",
        "BR",
    )
    assert isinstance(row, Row)
    assert (row.line, row.address, row.name, row.name_key) == (7, "+5585987654321", "João", " joao")
    assert (row.tags, row.language, row.fields) == (("b", "vip"), "pt-BR", {"cidade": "São Paulo"})
    assert row.evidence is not None
    assert (row.consent, row.evidence.source, row.evidence.by) == ("opted_in", "site", "me")
    assert row.evidence.at == datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headings", "line", "column", "reason"),
    [
        ("Celular,name", "123,Ana", "Celular", "is too short"),
        ("phone,name", ",Ana", "phone", "is not a phone number"),
        ("phone,name", "+5511987654321," + "x" * 201, "name", "has 201 characters"),
        ("phone,name", "+5511987654321,Ana,Souza", "", "has 3 cells, the first line 2"),
        ("phone,name", "+5511987654321,\udce1", "name", "is not UTF-8"),
        ("phone,Cidade", "+5511987654321," + "x" * 1_001, "Cidade", "has 1001 characters"),
        ("phone,lang", "+5511987654321,Portuguese", "lang", "tag of BCP 47"),
        ("phone,consent", "+5511987654321,yes", "consent", "give opted_in"),
        ("phone,consent", "+5511987654321,opted_in", "consent_source", "is missing"),
        ("phone,consent,consent_at", "+5511987654321,opted_out,2030-01-01", "consent_at", "lies in the future"),
        ("phone,consent,consent_at", "+5511987654321,opted_out,soon", "consent_at", "ISO 8601"),
    ],
)
def test_a_bad_row_says_in_which_column_and_why(headings: str, line: str, column: str, reason: str) -> None:
    found = _read(headings, line)
    assert isinstance(found, Rejected)
    assert (found.line, found.column) == (7, column)
    assert reason in found.reason


@given(st.text())
def test_no_cell_is_a_formula_and_every_text_comes_back(text: str) -> None:
    cell = guarded(text)
    assert unguarded(cell) == text
    assert not cell.startswith(("=", "-", "@", "\t", "\r"))
    assert not cell.startswith("+") or cell[1:].isdigit()
