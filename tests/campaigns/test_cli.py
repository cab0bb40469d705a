"""``berrante campaigns``."""

import asyncio
from pathlib import Path
from uuid import UUID

import pytest
from typer.testing import CliRunner

from berrante.app import Application
from berrante.cli import app
from berrante.settings import load

_runner = CliRunner()


@pytest.fixture
def campaign_id(redis_url: str, database_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> UUID:
    """A running campaign of three, and commands that use the test's engines."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("BERRANTE_QUEUE_PREFIX", prefix)
    monkeypatch.setenv("COLUMNS", "200")

    async def make() -> UUID:
        async with Application.open(load()) as application:
            organization = await application.organizations.create("Acme")
            await application.instances.create(organization_id=organization.id, id="sales")
            campaign = await application.campaigns.create(
                organization_id=organization.id,
                instance_id="sales",
                name="Launch",
                body="Oi",
                recipients=[f"+551199999000{number}" for number in range(3)],
            )
            await application.campaigns.start(organization.id, campaign.id)
            return campaign.id

    return asyncio.run(make())


def _ran(*arguments: str) -> tuple[int, str]:
    result = _runner.invoke(app, ["campaigns", *arguments])
    return result.exit_code, " ".join(result.output.split())


def test_a_campaign_is_listed_shown_paused_rehearsed_and_audited(campaign_id: UUID) -> None:
    id_ = str(campaign_id)
    code, shown = _ran("list")
    assert code == 0
    assert id_ in shown
    assert "Launch" in shown
    assert "running" in shown
    code, shown = _ran("show", id_)
    assert "planned 3" in shown
    assert "open 3" in shown
    assert _ran("pause", id_) == (0, "'Launch' is paused")
    assert _ran("watch", id_)[0] == 0
    code, shown = _ran("rehearse", id_)
    assert "3 recipients, from" in shown
    assert _ran("resume", id_) == (0, "'Launch' is running")
    code, shown = _ran("audit", id_)
    assert code == 0
    assert shown.endswith("clean: every recipient is accounted for")


def test_a_file_is_the_audience_of_a_draft(campaign_id: UUID, tmp_path: Path) -> None:
    async def draft() -> str:
        async with Application.open(load()) as application:
            running = await application.campaigns.find(campaign_id)
            return str((await application.campaigns.duplicate(running.organization_id, campaign_id)).id)

    file = tmp_path / "people.csv"
    file.write_text("phone;Cupom\n(11) 99999-0001;X7\nabc;X8\n")
    code, shown = _ran("audience", asyncio.run(draft()), str(file), "--country", "BR")
    assert (code, shown) == (0, "2 rows: 1 planned excluded: 1 invalid_number texts may name params.cupom")


def test_an_unknown_campaign_is_said_to_be_unknown(campaign_id: UUID) -> None:
    result = _runner.invoke(app, ["campaigns", "show", "00000000-0000-0000-0000-000000000000"])
    assert result.exit_code == 1
    assert "no such campaign" in str(result.exception)
