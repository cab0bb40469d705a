"""Settings: read from the environment, explained when wrong, documented by themselves."""

from pathlib import Path

import pytest

from berrante.app.options import job_options, worker_options
from berrante.messaging.queues import DEFAULT_JOB_OPTIONS, QueueName
from berrante.settings import SettingsInvalid, load, markdown, unknown_variables
from berrante.settings.table import values

_DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_what_the_settings_say() -> None:
    assert (_DOCS / "settings.md").read_text() == markdown(), "run: berrante settings --markdown > docs/settings.md"


def test_jobs_are_run_and_kept_as_the_domain_says_by_default() -> None:
    assert job_options(load()) == DEFAULT_JOB_OPTIONS


@pytest.mark.parametrize(
    ("queue", "concurrency", "rate"),
    [
        ("message", 5, (10, 1_000)),
        ("automation", 5, (20, 1_000)),
        ("campaign", 3, None),  # of messages, per number: its handler keeps it
        ("outbound", 50, None),
        ("webhook", 50, None),
        ("maintenance", 1, None),
    ],
)
def test_workers_work_as_the_design_says_by_default(queue: str, concurrency: int, rate: tuple[int, int] | None) -> None:
    options = worker_options(load(), QueueName(queue))
    assert options.concurrency == concurrency
    own = options.groups and options.groups.rate
    assert (own and (own.max, own.duration_ms)) == rate  # each number's own
    assert options.rate is None
    assert options.dead_letters == "dead-letter"


def test_a_rate_may_be_the_whole_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERRANTE_MESSAGE_RATE_SCOPE", "queue")
    options = worker_options(load(), QueueName.MESSAGE)
    assert options.rate is not None
    assert (options.rate.max, options.rate.duration_ms) == (10, 1_000)
    assert options.groups is not None
    assert (options.groups.rate, options.groups.concurrency) == (None, 1)


def test_one_variable_of_a_queue_leaves_its_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERRANTE_CAMPAIGN_RATE_MAX", "7")
    monkeypatch.setenv("BERRANTE_MESSAGE_CONCURRENCY", "9")
    settings = load()
    assert (settings.campaign.rate_max, settings.campaign.rate_duration_ms) == (7, 60_000)
    assert settings.campaign.keep_failed_count == 200
    assert settings.message.concurrency == 9


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("BERRANTE_MESSAGE_CONCURRENCY", "many", "'many'"),
        ("BERRANTE_CAMPAIGN_RATE_MAX", "-1", "greater than or equal to 0"),
        ("BERRANTE_PORT", "99999", "65535"),
        ("BERRANTE_LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("BERRANTE_MESSAGE_CONCURENCY", "5", "did you mean BERRANTE_MESSAGE_CONCURRENCY?"),
        ("BERRANTE_QUEUE_PREFIX", "a:b", "pattern"),
        ("REDIS_URL", "http://:hush@host", "redis://host:6379/0"),
        ("DATABASE_URL", "mysql://me:hush@host/x", "postgresql://"),
        ("BERRANTE_DEMO_API_KEY", "hush", "brt_live_"),
        ("BERRANTE_OWNER_PASSWORD", "hush", "at least 8"),
    ],
)
def test_a_wrong_value_is_explained_and_no_secret_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid) as caught:
        load()
    (problem,) = caught.value.problems
    assert problem.startswith(name)
    assert says in problem
    assert "hush" not in problem


def test_an_option_is_named_as_the_option_that_it_is() -> None:
    with pytest.raises(SettingsInvalid, match="--port"):
        load(port=-1)


def test_variables_that_nothing_reads_are_found_with_what_was_meant() -> None:
    assert unknown_variables({"BERRANTE_PROT": "1", "BERRANTE_PORT": "1", "PATH": "/"}) == {
        "BERRANTE_PROT": "BERRANTE_PORT"
    }


def test_secrets_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:hush@host")
    settings = load()
    assert "hush" not in repr(settings)
    assert ("REDIS_URL", "set (hidden)", "-") in values(settings)
