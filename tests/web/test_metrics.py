"""/metrics: who may read it, and that what it says is so."""

import re
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from berrante.app import Application, demo
from berrante.engine import JobOptions, NewJob
from berrante.gateways.simulator import refusal
from berrante.telemetry import Metrics, metrics_page
from berrante.web.app import create_health_app
from tests.app.process import client_of, settings_for, working
from tests.conftest import OwnServer
from tests.waiting import until

_TOKEN = "a-token-of-some-length"
_ENDS = ("accepted", "refused")
_ROOT = Path(__file__).parents[2]


async def _scraped(application: Application) -> dict[tuple[str, frozenset[str]], float]:
    """Every sample by its name and its labels' values."""
    app = create_health_app(application)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://private") as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_on_the_public_port_it_is_there_with_a_token_alone(application: Application) -> None:
    async with client_of(application) as client:
        assert (await client.get("/metrics")).status_code == 404
    application.settings = application.settings.model_copy(update={"metrics_token": SecretStr(_TOKEN)})
    async with client_of(application) as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"X-API-Key": _TOKEN}):
            refused = await client.get("/metrics", headers=headers)
            assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        taken = await client.get("/metrics", headers={"Authorization": f"Bearer {_TOKEN}"})
    assert taken.status_code == 200
    assert "berrante_queue_jobs" in taken.text


async def test_the_private_port_has_health_and_metrics_and_nothing_else(application: Application) -> None:
    app = create_health_app(application)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://private") as client:
        for path in ("/health", "/health/live", "/health/ready", "/health/queues", "/metrics"):
            assert (await client.get(path)).status_code == 200
        for path in ("/v1/messages", "/webhooks/whatsapp/demo"):
            assert (await client.get(path)).status_code == 404


async def test_a_flow_is_counted_by_queue_and_gateway(application: Application) -> None:
    quiet = application.settings.demo.model_copy(update={"contacts": 0})
    application.settings = application.settings.model_copy(update={"demo": quiet})
    access = await demo.prepare(application)
    application.simulator.fail_next(refusal("131026"), to="+5511900000002")
    async with working(application):
        for number in (1, 2):
            application.simulator.write(
                organization_id=access.instance.organization_id,
                instance_id="demo",
                sender=f"+551190000000{number}",
                text="Oi",
            )

        async def counted() -> bool:
            found = await _scraped(application)
            sends = [
                found.get(("berrante_sends_total", frozenset({"simulator", each})), 0)
                for each in ("accepted", "refused")
            ]
            return sends == [1, 1] and found.get(("berrante_jobs_total", frozenset({"outbound", "completed"}))) == 2

        await until(counted)
        found = await _scraped(application)
        assert found["berrante_queue_workers", frozenset({"outbound"})] == 1
    assert found["berrante_jobs_total", frozenset({"automation", "completed"})] == 2
    for name in ("berrante_job_wait_seconds", "berrante_job_run_seconds", "berrante_job_end_to_end_seconds"):
        assert found[f"{name}_count", frozenset({"outbound"})] == 2
    automation = frozenset({"automation"})  # its delay is part of the whole way, and not of the wait
    assert found["berrante_job_end_to_end_seconds_sum", automation] > found["berrante_job_wait_seconds_sum", automation]
    assert found["berrante_send_errors_total", frozenset({"simulator", "recipient", "drop"})] == 1
    assert found["berrante_database_pool_connections", frozenset({"size"})] == 10
    assert (await _scraped(application))["berrante_workers", frozenset({"outbound"})] == 0


async def test_groups_are_counted_by_place_and_the_longest_are_named(application: Application) -> None:
    outbound = application.queues.outbound
    jobs = [NewJob("send", {}, JobOptions(group=f"n{number}")) for number in range(12) for _ in range(number + 1)]
    await outbound.add_bulk(jobs)
    await outbound.groups.pause("n11")
    found = await _scraped(application)
    assert found["berrante_queue_groups", frozenset({"outbound", "ring"})] == 11
    assert found["berrante_queue_groups", frozenset({"outbound", "out"})] == 1
    assert found["berrante_queue_groups", frozenset({"outbound", "later"})] == 0
    assert found["berrante_queue_group_jobs", frozenset({"outbound", "waiting"})] == len(jobs) == 78
    assert found["berrante_queue_group_jobs", frozenset({"outbound", "held"})] == 0
    named = {labels - {"outbound"}: value for (name, labels), value in found.items() if "group_waiting" in name}
    assert named == {frozenset({f"n{number}"}): number + 1 for number in range(2, 12)}

    await outbound.groups.clean("n11")
    found = await _scraped(application)
    named = {labels - {"outbound"}: value for (name, labels), value in found.items() if "group_waiting" in name}
    assert named == {frozenset({f"n{number}"}): number + 1 for number in range(1, 11)}


async def test_a_redis_that_is_away_is_said_and_leaves_no_old_numbers(
    own_valkey: OwnServer, database_url: str, prefix: str
) -> None:
    settings = settings_for(redis_url=own_valkey.url, database_url=database_url, prefix=prefix)
    async with Application.open(settings) as application:
        await application.queues.message.add_bulk([NewJob("x", {})] * 3)
        found = await _scraped(application)
        assert found["berrante_queue_jobs", frozenset({"message", "waiting"})] == 3
        assert found["berrante_up", frozenset({"redis"})] == 1
        await own_valkey.kill()
        found = await _scraped(application)
        assert found["berrante_up", frozenset({"redis"})] == 0
        assert found["berrante_up", frozenset({"database"})] == 1
        assert not [name for name, _ in found if name.startswith("berrante_queue_")]


def test_the_page_is_what_the_metrics_are() -> None:
    page = (_ROOT / "docs/metrics.md").read_text()
    assert page == metrics_page.markdown(), "run: python -m berrante.telemetry metrics > docs/metrics.md"


@pytest.mark.parametrize("name", ["grafana-dashboard.json", "alerts.yaml"])
def test_what_is_deployed_asks_for_metrics_and_labels_that_exist(name: str) -> None:
    text = (_ROOT / "deploy" / name).read_text().replace('\\"', '"')
    known = metrics_page.names(Metrics(version="1"))
    series = {
        f"{metric}{suffix}": labels
        for metric, (kind, labels, _) in known.items()
        for suffix in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))
    }
    asked = re.findall(r"\b(berrante_\w+)(?:\{([^}]*)\})?", text)
    assert len(asked) > 8
    assert {metric for metric, _ in asked} <= series.keys()
    for metric, matchers in asked:
        wanted = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
        assert wanted <= {*series[metric], "instance"}, metric
    if name.endswith("json"):  # every kind of metric is shown somewhere
        shown = {metric.removesuffix("_bucket") for metric, _ in asked}
        assert known.keys() - shown <= {"berrante_process_start_time_seconds", "berrante_workers"}
