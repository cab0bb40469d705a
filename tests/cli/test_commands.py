"""The commands' answers and exit codes."""

import asyncio
import json
from pathlib import Path

import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from berrante import __version__
from berrante.app.reaching import newest_revision
from berrante.cli import app
from berrante.engine import Connection, Job, NewJob, Queue, Unrecoverable, WorkerOptions
from berrante.engine.notices import JobFailed
from berrante.messaging.organizations.models import organizations
from berrante.settings import markdown
from berrante.store import Database
from tests.cli.command import ran
from tests.probes import Probe, working

_runner = CliRunner()


@pytest.fixture
def engines(redis_url: str, database_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have commands in this process use the test's engines."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("BERRANTE_QUEUE_PREFIX", prefix)
    monkeypatch.setenv("COLUMNS", "200")


def test_the_version_is_shown() -> None:
    result = _runner.invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"berrante {__version__}\n")


@pytest.mark.parametrize("group", [[], ["queues"]])
def test_help_lists_every_command_with_a_sentence(group: list[str]) -> None:
    result = _runner.invoke(app, [*group, "--help"])
    assert result.exit_code == 0
    names = ["stats", "test-campaign"] if group else ["up", "web", "worker", "migrate", "doctor", "settings", "queues"]
    assert all(name in result.output for name in names)


def test_settings_are_shown_and_written_as_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERRANTE_OWNER_PASSWORD", "hush-hush-hush")
    monkeypatch.setenv("BERRANTE_PROT", "1")
    monkeypatch.setenv("COLUMNS", "200")
    shown = _runner.invoke(app, ["settings"])
    assert "BERRANTE_CAMPAIGN_RATE_MAX" in shown.output
    assert "hush" not in shown.output
    assert "did you mean BERRANTE_PORT" in shown.output
    assert _runner.invoke(app, ["settings", "--markdown"]).output == markdown()


async def test_a_wrong_setting_ends_with_2_and_a_sentence(tmp_path: Path) -> None:
    ended = await ran("queues", "stats", data_dir=tmp_path, BERRANTE_MESSAGE_CONCURRENCY="many")
    assert ended.code == 2
    assert ended.errors.startswith("BERRANTE_MESSAGE_CONCURRENCY is 'many'")
    assert "Traceback" not in ended.errors


async def test_an_unreachable_redis_ends_with_2_and_the_variable(tmp_path: Path, database_url: str) -> None:
    ended = await ran("worker", data_dir=tmp_path, REDIS_URL="redis://:hush@127.0.0.1:1", DATABASE_URL=database_url)
    assert ended.code == 2
    assert "REDIS_URL" in ended.errors
    assert "hush" not in ended.errors
    assert "Traceback" not in ended.errors


def test_a_queue_that_nobody_works_on_is_refused() -> None:
    result = _runner.invoke(app, ["worker", "dead-letter"])
    assert result.exit_code == 2
    assert "message, automation, campaign, outbound, webhook, maintenance" in " ".join(
        result.output.replace("│", "").split()
    )


@pytest.mark.usefixtures("engines")
def test_migrate_says_the_revision_and_may_be_repeated() -> None:
    for _ in range(2):
        result = _runner.invoke(app, ["migrate"])
        assert result.exit_code == 0
        assert f"revision {newest_revision()}" in result.output


@pytest.mark.usefixtures("engines")
def test_the_doctor_finds_healthy_engines_healthy() -> None:
    result = _runner.invoke(app, ["doctor"])
    assert result.exit_code == 0, result.output
    assert "the web side acts as berrante_web" in result.output
    assert "✗" not in result.output
    assert all(name in result.output for name in ("Python", "Valkey", "noeviction", "PostgreSQL", "revision"))


@pytest.mark.usefixtures("engines")
def test_the_doctor_names_what_to_mend(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hush@127.0.0.1:1/x")
    result = _runner.invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "✗" in result.output
    assert "DATABASE_URL" in result.output
    assert "hush" not in result.output


@pytest.mark.usefixtures("engines")
def test_stats_are_a_table_or_json() -> None:
    assert "dead-letter" in _runner.invoke(app, ["queues", "stats"]).output
    found = json.loads(_runner.invoke(app, ["queues", "stats", "--json"]).output)
    assert found["outbound"] == {
        "waiting": 0, "active": 0, "prioritized": 0, "delayed": 0, "completed": 0, "failed": 0, "paused": False,
    }  # fmt: skip


@pytest.mark.usefixtures("engines")
@pytest.mark.parametrize(
    "arguments",
    [
        ["test"],
        ["test-message"],
        ["test-automation", "--delay", "200"],
        ["test-campaign", "--recipients", "6", "--rate", "5"],
    ],
)
def test_smoke_tests_pass_and_leave_nothing_behind(arguments: list[str], redis_url: str, database_url: str) -> None:
    result = _runner.invoke(app, ["queues", *arguments])
    assert result.exit_code == 0, result.output
    assert "✗" not in result.output
    assert result.output.count("✓") >= 4
    assert _left_behind(redis_url, database_url) == ([], 0)


@pytest.mark.usefixtures("engines")
def test_a_smoke_test_that_fails_says_what_and_exits_1(
    monkeypatch: pytest.MonkeyPatch, redis_url: str, database_url: str
) -> None:
    monkeypatch.setenv("BERRANTE_OUTBOUND_RATE_MAX", "1")
    monkeypatch.setenv("BERRANTE_OUTBOUND_RATE_DURATION_MS", "3600000")
    monkeypatch.setattr("berrante.app.smoke.flows.WITHIN_S", 1.0)
    result = _runner.invoke(app, ["queues", "test-campaign", "--recipients", "3", "--rate", "50"])
    assert result.exit_code == 1
    assert "✗ the end of the campaign did not come within" in result.output
    assert _left_behind(redis_url, database_url) == ([], 0)


def _left_behind(redis_url: str, database_url: str) -> tuple[list[bytes], int]:
    """The smoke tests' keys and organizations."""

    async def look() -> tuple[list[bytes], int]:
        async with Connection.from_url(redis_url) as connection:
            keys = await connection.redis.keys("berrante-smoke-*")
        database = Database(database_url)
        async with database.begin() as transaction:
            number = (await transaction.execute(select(func.count()).select_from(organizations))).scalar_one()
        await database.close()
        return keys, number

    return asyncio.run(look())


async def _leave_failed(redis_url: str, prefix: str) -> None:
    async def handle(job: Job) -> object:
        raise Unrecoverable(f"no such instance: {job.data['n']}")

    async with Connection.from_url(redis_url) as connection:
        queue, probe = Queue("message", connection, prefix=prefix), Probe()
        await queue.add_bulk([NewJob("incoming", {"n": number}) for number in range(3)])
        options = WorkerOptions(dead_letters="dead-letter")
        async with working("message", handle, connection, options, prefix=prefix, probe=probe):
            await probe.seen(JobFailed, 3)


@pytest.mark.usefixtures("engines")
def test_failed_jobs_run_again_and_old_jobs_are_cleaned(redis_url: str, prefix: str) -> None:
    asyncio.run(_leave_failed(redis_url, prefix))
    would = _runner.invoke(app, ["queues", "retry-failed", "--dry-run"])
    assert "3 jobs would run again" in would.output
    assert "2 jobs run again" in _runner.invoke(app, ["queues", "retry-failed", "--limit", "2", "--yes"]).output
    assert "0 jobs run again" in _runner.invoke(app, ["queues", "retry-failed", "--reason", "other"]).output
    old = ["queues", "clean", "--queue", "message", "--older-than", "0s"]
    assert "1 jobs would be removed" in _runner.invoke(app, [*old, "--dry-run"]).output
    assert _runner.invoke(app, old, input="n\n").exit_code == 1
    assert "1 jobs removed" in _runner.invoke(app, old, input="y\n").output
    assert "0 jobs removed" in _runner.invoke(app, old).output
    counts = json.loads(_runner.invoke(app, ["queues", "stats", "--json"]).output)
    assert (counts["message"]["waiting"], counts["message"]["failed"]) == (2, 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["clean", "--older-than", "soon"], "24h"),
        (["clean", "--state", "active"], "cannot be cleaned"),
        (["clean", "--queue", "dead-letter"], "choose from"),
        (["retry-failed", "--limit", "0"], "--limit"),
    ],
)
def test_a_wrong_option_is_named(arguments: list[str], said: str) -> None:
    result = _runner.invoke(app, ["queues", *arguments])
    assert result.exit_code == 2
    assert said in result.output
