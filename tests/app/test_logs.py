"""Logs: one table of events, one form for all libraries, and nothing in them that has no business there."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from berrante.app import Application, demo
from berrante.engine import Connection, NewJob, Queue, Unrecoverable, WorkerOptions
from berrante.engine import notices as told
from berrante.telemetry import UnknownField, configure, events, log_notice
from tests.app.process import working
from tests.probes import Probe
from tests.probes import working as engine_working
from tests.waiting import until

_DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def lines() -> Iterator[Any]:
    """All log lines so far, parsed."""
    stream = io.StringIO()
    root, level = logging.getLogger(), logging.getLogger().level
    handlers = list(root.handlers)
    configure(level="debug", json=True, stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    for handler in list(root.handlers):
        if handler not in handlers:
            root.removeHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()


def test_the_page_is_what_the_events_are() -> None:
    assert (_DOCS / "events.md").read_text() == events.markdown(), "run: python -m berrante.telemetry > docs/events.md"
    assert len({event.name for event in events.EVENTS}) == len(events.EVENTS)


def test_a_field_that_the_page_does_not_list_is_refused() -> None:
    with pytest.raises(UnknownField, match="colour"):
        events.REDIS_LOST(queue="message", colour="red")


def test_records_of_other_libraries_come_out_alike_and_scrubbed(lines: Any) -> None:
    logging.getLogger("some.library").warning("cannot reach %s for %s", "redis://:hush@host", "+5511987654321")
    (line,) = lines()
    assert line["event"] == "cannot reach redis://***@host for +55…4321"
    assert (line["level"], "timestamp" in line) == ("warning", True)


def test_a_traceback_is_scrubbed_too(lines: Any) -> None:
    error = RuntimeError("no route to +5511987654321")
    events.REQUEST_FAILED(path="/x", exc_info=error)
    (line,) = lines()
    assert "RuntimeError: no route to +55…4321" in line["exception"]


def test_lines_for_people_are_short() -> None:
    stream = io.StringIO()
    configure(stream=stream)
    events.MESSAGE_SENT(queue="outbound", job_id="send-1", instance_id="demo", outcome="sent")
    structlog.reset_defaults()
    assert "message.sent" in stream.getvalue()
    assert "instance_id=demo" in stream.getvalue()
    assert "send-1" not in stream.getvalue()


async def test_every_outcome_of_a_job_is_logged_with_its_context(
    lines: Any, connection: Connection, prefix: str
) -> None:
    class Logged(Probe):
        def __call__(self, notice: told.Notice) -> None:
            log_notice(notice)
            super().__call__(notice)

    probe = Logged()

    async def handle(job: Any) -> object:
        if job.name == "doomed":
            raise Unrecoverable("no such instance")
        return None

    queue = Queue("message", connection, prefix=prefix)
    data = {"organizationId": "org-1", "instanceId": "demo", "text": "a private word"}
    await queue.add_bulk([NewJob("fine", data), NewJob("doomed", data)])
    options = WorkerOptions(dead_letters="dead-letter")
    async with engine_working("message", handle, connection, options, prefix=prefix, probe=probe):
        await probe.seen(told.JobCompleted)
        await probe.seen(told.JobFailed)
    failed = next(line for line in lines() if line["event"] == "job.failed")
    context = {"queue": "message", "job": "doomed", "organization_id": "org-1", "instance_id": "demo", "attempt": 1}
    assert context.items() <= failed.items()
    assert (failed["level"], failed["reason"]) == ("error", "no such instance")
    assert failed["dead_letter_id"]
    assert {"job.started", "job.completed", "worker.started", "worker.stopped"} <= {line["event"] for line in lines()}
    assert "private" not in json.dumps(lines())


def test_the_loss_of_redis_is_told_in_a_sentence(lines: Any) -> None:
    log_notice(told.RedisLost(queue="message", error="Connection refused", retry_ms=200, unsettled=3))
    (line,) = lines()
    assert line["event"] == "redis.lost"
    assert "3 outcomes are kept and sent again in 200 ms" in line["hint"]


async def test_the_flow_is_told_and_neither_texts_nor_numbers_nor_secrets(lines: Any, application: Application) -> None:
    quiet = application.settings.demo.model_copy(update={"contacts": 0})
    application.settings = application.settings.model_copy(update={"demo": quiet})
    access = await demo.prepare(application)
    async with working(application):
        application.simulator.write(
            organization_id=access.instance.organization_id,
            instance_id="demo",
            sender="+5511987654321",
            text="a private word",
        )
        await until(lambda: any(line.get("status") == "read" for line in lines()))
    names = [line["event"] for line in lines()]
    for name in ("message.received", "automation.replied", "message.sent", "message.status"):
        assert name in names
    whole = json.dumps(lines())
    for secret in ("private", "5511987654321", access.api_key, access.password, access.app_secret, "Thank you"):
        assert str(secret) not in whole
