"""berrante validate: all is checked, what is not so is said, and nothing stays behind."""

import asyncio
import os
import re
from pathlib import Path

import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from berrante.app.smoke import Outcome
from berrante.app.validation import Report, Section, written
from berrante.cli import app
from berrante.engine import Connection
from berrante.messaging.organizations.models import organizations
from berrante.store import Database

_runner = CliRunner()
_ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def engines(redis_url: str, database_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("BERRANTE_QUEUE_PREFIX", prefix)
    monkeypatch.setenv("COLUMNS", "200")


def _left_behind(redis_url: str, database_url: str) -> tuple[list[bytes], int]:
    async def look() -> tuple[list[bytes], int]:
        async with Connection.from_url(redis_url) as connection:
            keys = await connection.redis.keys("berrante-smoke-*")
        database = Database(database_url)
        async with database.begin() as transaction:
            number = (await transaction.execute(select(func.count()).select_from(organizations))).scalar_one()
        await database.close()
        return keys, number

    return asyncio.run(look())


def test_everything_passes_is_reported_and_leaves_nothing_behind(
    redis_url: str, database_url: str, tmp_path: Path
) -> None:
    page = tmp_path / "report.md"
    result = _runner.invoke(app, ["validate", "--output", str(page)])
    assert result.exit_code == 0, result.output
    text = page.read_text()
    found = re.search(r"\*\*(\d+) of (\d+) checks passed\*\*", text)
    assert found is not None
    assert found[1] == found[2]
    assert int(found[1]) >= 28
    for heading in (
        "Engines",
        "The queues, as they are set",
        "The queue system",
        "The flow",
        "From outside",
        "Figures",
    ):
        assert f"## {heading}" in text
    assert "jobs/s" in text
    for private in (redis_url, database_url, str(tmp_path), str(_ROOT), os.uname().nodename + "."):
        assert private not in text
    assert _left_behind(redis_url, database_url) == ([], 0)


def test_what_is_not_so_is_said_and_the_exit_code_is_1(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    monkeypatch.setenv("BERRANTE_MESSAGE_ATTEMPTS", "1")
    result = _runner.invoke(app, ["validate"])
    assert result.exit_code == 1
    assert "✗ every queue backs off exponentially" in result.output
    assert "message tries once" in result.output


def test_a_report_counts_and_escapes() -> None:
    outcomes = [
        Outcome(name="a|b", passed=True, detail="two\nlines", took_ms=1),
        Outcome(name="c", passed=False, detail="no", took_ms=2),
    ]
    report = Report(
        at="now", facts={"Python": "3"}, sections=[Section(title="One", outcomes=outcomes)], figures={"x": "y"}
    )
    text = written(report)
    assert (report.failed, report.total) == (1, 2)
    assert "**1 of 2 checks passed**" in text
    assert "| ✓ | a\\|b | two lines | 1 |" in text
    assert "| ✗ | c | no | 2 |" in text
