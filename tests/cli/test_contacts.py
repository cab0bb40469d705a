"""berrante contacts: files in and out."""

import asyncio
import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from berrante.cli import app
from berrante.messaging.instances import Instances
from berrante.messaging.organizations import Organizations
from berrante.store import Database
from tests.cli.command import ran

_runner = CliRunner()


@pytest.fixture
def organization(redis_url: str, database_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have commands use the test's engines, with an organization that has the number ``sales``; return its id."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("BERRANTE_QUEUE_PREFIX", prefix)
    monkeypatch.setenv("COLUMNS", "200")

    async def make() -> str:
        database = Database(database_url)
        made = await Organizations(database).create("Acme")
        await Instances(database).create(organization_id=made.id, id="sales")
        await database.close()
        return str(made.id)

    return asyncio.run(make())


def _import(file: Path, organization: str, *more: str) -> tuple[int, str]:
    arguments = ["contacts", "import", str(file), "--organization", organization, "--instance", "sales", *more]
    result = _runner.invoke(app, arguments)
    return result.exit_code, result.output


def test_a_file_goes_in_and_comes_out(organization: str, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("phone,name,tags\n(11) 98765-4321,Ana,vip\n12,Bento,\n")
    for _ in range(2):  # the same file again changes nothing
        code, output = _import(file, organization, "--country", "BR")
        assert (code, "1 created, 0 updated, 1 refused" in output) == (0, True), output
    refused = list(csv.reader((tmp_path / "list.csv.errors.csv").read_text().splitlines()))
    assert refused[0] == ["line", "column", "reason"]
    assert refused[1][:2] == ["3", "phone"]
    out = tmp_path / "out.csv"
    result = _runner.invoke(app, ["contacts", "export", "--organization", "Acme", "--output", str(out)])
    assert result.exit_code == 0, result.output
    (row,) = csv.DictReader(out.read_text().splitlines())
    assert (row["phone"], row["name"], row["tags"]) == ("+5511987654321", "Ana", "vip")
    shown = _runner.invoke(app, ["contacts", "export", "--organization", organization, "--tag", "none"])
    assert shown.output.splitlines() == [out.read_text().splitlines()[0]]


def test_a_file_that_cannot_be_read_exits_1_with_the_line(organization: str, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("name\nAna\n")
    code, output = _import(file, organization)
    assert code == 1
    assert "line 1: no column is called 'phone'" in output


async def test_what_is_not_there_exits_2_with_a_sentence(
    organization: str, tmp_path: Path, redis_url: str, database_url: str
) -> None:
    file = tmp_path / "list.csv"
    file.write_text("phone\n")
    for options in (("nobody", "sales"), (organization, "nobody")):
        arguments = ("contacts", "import", str(file), "--organization", options[0], "--instance", options[1])
        ended = await ran(*arguments, data_dir=tmp_path, REDIS_URL=redis_url, DATABASE_URL=database_url)
        assert ended.code == 2
        assert "no such" in ended.errors
        assert "Traceback" not in ended.errors
