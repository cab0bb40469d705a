"""berrante dead-letters: what an operator sees and does."""

import asyncio
import json
import re
from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from berrante.cli import app
from berrante.engine import Connection, DeadLetters, NewJob, Queue, State

_runner = CliRunner()


@pytest.fixture(autouse=True)
def engines(redis_url: str, database_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("BERRANTE_QUEUE_PREFIX", prefix)
    monkeypatch.setenv("COLUMNS", "250")


@pytest.fixture
def fill(redis_url: str, prefix: str) -> Callable[[], list[str]]:
    def filled() -> list[str]:
        async def add() -> list[str]:
            async with Connection.from_url(redis_url) as connection:
                letters = DeadLetters(connection, prefix=prefix)
                told = [
                    {
                        "queue": "outbound" if number < 3 else "message",
                        "jobId": f"j{number}",
                        "name": "send",
                        "data": {"organizationId": "o-1"},
                        "failedReason": f"card {number} refused",
                        "stacktrace": [f"Traceback number {number}"],
                        "attemptsMade": 4,
                        "failedAt": 1_700_000_000_000,
                    }
                    for number in range(4)
                ]
                return await letters.queue.add_bulk([NewJob("send", each) for each in told])

        return asyncio.run(add())

    return filled


def _counts(redis_url: str, prefix: str, queue: str) -> dict[State, int]:
    async def count() -> dict[State, int]:
        async with Connection.from_url(redis_url) as connection:
            return await Queue(queue, connection, prefix=prefix).counts()

    return asyncio.run(count())


def _run(*arguments: str, answer: str | None = None) -> str:
    result = _runner.invoke(app, ["dead-letters", *arguments], input=answer)
    assert result.exit_code == 0, result.output
    return result.output


def test_letters_and_groups_are_shown(fill: Callable[[], list[str]]) -> None:
    ids = fill()
    listed = json.loads(_run("list", "--json", "--limit", "3"))
    assert [each["id"] for each in listed["data"]] == ids[:0:-1]
    rest = json.loads(_run("list", "--json", "--after", str(listed["next"])))
    assert [each["id"] for each in rest["data"]] == ids[:1]
    listed_words = re.findall(r"\w+", _run("list", "--queue", "message"))  # a column may be narrower than the reason
    assert {"card", "3", "refused"} <= set(listed_words)
    assert "Traceback number 0" in _run("show", ids[0])
    groups = json.loads(_run("groups", "--json"))["data"]
    assert [(group["count"], group["cause"]["code"]) for group in groups] == [
        (3, "card … refused"),
        (1, "card … refused"),
    ]
    assert "card … refused" in _run("groups")


def test_one_a_group_and_all_are_put_back_or_discarded(
    fill: Callable[[], list[str]], redis_url: str, prefix: str
) -> None:
    ids = fill()
    assert "job j0-retry-1700000000000 waits in queue outbound" in _run("retry", ids[0])
    group = json.loads(_run("groups", "--json"))["data"][0]
    assert group["count"] == 2
    assert "2 letters put back" in _run("retry", "--group", group["id"], "--yes")
    assert _counts(redis_url, prefix, "outbound")[State.WAITING] == 3
    assert "1 letters discarded" in _run("discard", "--all", answer="y\n")
    assert "0 letters put back" in _run("retry", "--all")
    assert _counts(redis_url, prefix, "message")[State.WAITING] == 0


def test_nothing_happens_without_a_choice_or_an_answer(
    fill: Callable[[], list[str]], redis_url: str, prefix: str
) -> None:
    fill()
    assert _runner.invoke(app, ["dead-letters", "discard"]).exit_code == 2
    assert _runner.invoke(app, ["dead-letters", "discard", "--all"], input="n\n").exit_code == 1
    assert _counts(redis_url, prefix, "dead-letter")[State.WAITING] == 4
