"""Tables on narrow terminals: nothing that people read or copy is cut."""

import asyncio
import io
import re
from pathlib import Path
from uuid import UUID

import pytest
from rich.console import Console
from rich.text import Text
from typer.testing import CliRunner

from berrante.app import Application
from berrante.cli import app
from berrante.cli.console import output
from berrante.cli.tables import Whole, pairs, show
from berrante.engine import NewJob
from berrante.settings import load
from berrante.settings.table import values
from tests.app.process import settings_for
from tests.cli.command import ran

_LETTER = "outbound-0199f1d2-7a3b-7c1d-9b1e-1234567890ab-1700000000000"
_REASON = "card 4111 was refused because https://bank.example/a/very/long/address/that/does/not/end said so [red]"
_WIDTHS = [60, 80, 100, 120, 200]


def drawn(heads: list[str | Whole], rows: list[list[str | Text]], width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    show(heads, rows, console=console)
    written = console.file.getvalue()
    assert max(len(line) for line in written.splitlines()) <= width
    return written


def joined(written: str) -> str:
    """All that was written, as if there had been one line per cell: what was folded is whole again."""
    return re.sub(r"[\s│]", "", written)


@pytest.mark.parametrize("width", _WIDTHS)
def test_every_cell_is_there_in_full_at_any_width(width: int) -> None:
    heads: list[str | Whole] = [Whole("letter"), "failed", "queue", Whole("group"), "reason"]
    row: list[str | Text] = [_LETTER, "2025-11-24 20:47:25+00:00", "outbound", "1f0c2b7a9d34", "short"]
    written = drawn(heads, [row, row], width)
    words = [word for cell in row[1:] for word in str(cell).split()]
    assert [word for word in words if written.count(word) < 2] == []
    assert joined(written).count(_LETTER) == 2
    assert "…" not in written


@pytest.mark.parametrize("width", _WIDTHS)
def test_a_long_word_of_prose_goes_on_in_the_next_line(width: int) -> None:
    written = drawn(["", "what", "why"], [[Text("✗", "red"), "bank", _REASON]], width)
    assert "https://bank.example/a/" in written
    assert "…" not in written
    assert "[red]" in written  # what somebody wrote is no markup
    for word in ("refused", "because"):
        assert word in written


def test_numbers_stand_beside_their_names_in_few_lines() -> None:
    heads: list[str | Whole] = ["queue", "waiting", "active", "prioritized", "completed", "waiting-children"]
    written = drawn(heads, [["automation", "1", "22", "333", "4444", "5"], ["message", "0", "0", "0", "0", "0"]], 60)
    assert written.splitlines()[:3] == [
        "automation",
        "  waiting 1 · active 22 · prioritized 333 · completed 4444",
        "  waiting-children 5",
    ]


def test_pairs_are_whole_too() -> None:
    console = Console(file=io.StringIO(), width=60)
    pairs([("id", _LETTER), ("data", "x" * 150)], console=console)
    written = console.file.getvalue()
    assert joined(written) == f"id{_LETTER}data{'x' * 150}"


def test_commands_cut_nothing(
    redis_url: str, database_url: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter, campaign_id = asyncio.run(_filled(redis_url, database_url, prefix))
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("BERRANTE_QUEUE_PREFIX", prefix)
    monkeypatch.setenv("BERRANTE_DATA_DIR", str(tmp_path))

    def said(*command: str) -> str:
        ended = CliRunner().invoke(app, command)
        assert ended.exit_code == 0, ended.output
        assert max(map(len, ended.output.splitlines())) <= columns
        assert "…" not in ended.output
        return joined(ended.output)

    for columns in (60, 80):
        monkeypatch.setattr(output, "_width", columns)
        assert letter in said("dead-letters", "list")
        assert "Restorethenumber(itsconnection,itsquality,itslimits),thenretry." in said("dead-letters", "groups")
        assert joined(_REASON) in said("dead-letters", "show", letter)
        assert "prioritized" in said("queues", "stats")
        assert "scripts" in said("doctor")
        assert str(campaign_id) in said("campaigns", "list")
        assert "Everythingmustgobeforethesummer" in said("campaigns", "show", str(campaign_id))
        set_ = said("settings")
        assert all(variable in set_ for variable, _, _ in values(load()))


async def test_columns_are_minded_where_there_is_no_terminal(tmp_path: Path) -> None:
    ended = await ran("settings", data_dir=tmp_path, COLUMNS="60")
    assert ended.code == 0
    assert max(map(len, ended.output.splitlines())) <= 60


async def _filled(redis_url: str, database_url: str, prefix: str) -> tuple[str, UUID]:
    """A campaign, and a dead letter."""
    settings = settings_for(redis_url=redis_url, database_url=database_url, prefix=prefix)
    async with Application.open(settings) as application:
        organization = await application.organizations.create("An organization with quite a long name")
        await application.instances.create(organization_id=organization.id, id="sales", gateway="simulator")
        campaign = await application.campaigns.create(
            organization_id=organization.id,
            instance_id="sales",
            name="Everything must go before the summer",
            body="Hello",
            recipients=["+5511900000001"],
        )
        told = {
            "queue": "outbound",
            "jobId": "0199f1d2-7a3b-7c1d-9b1e-1234567890ab",
            "name": "send",
            "data": {"organizationId": str(organization.id), "instanceId": "sales"},
            "failedReason": _REASON,
            "error": {"type": "SendError", "code": "130429", "scope": "number"},
            "failedAt": 1_700_000_000_000,
        }
        (letter,) = await application.queues.dead_letters.queue.add_bulk([NewJob("send", told)])
    return letter, campaign.id
