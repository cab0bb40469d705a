"""Lists the metrics: ``docs/metrics.md`` is written from here, and what is in ``deploy/`` is checked against it."""

from typing import Final

from prometheus_client.metrics import MetricWrapperBase

from berrante.telemetry.metrics import Metrics

_HEAD: Final = """\
# Metrics

`/metrics` speaks Prometheus' text format. On the web side's own port it is there only if `BERRANTE_METRICS_TOKEN` is
set, and asks for it (`Authorization: Bearer …`). With `BERRANTE_HEALTH_PORT` every process, workers too, serves
`/health` and `/metrics` on a port of its own, which should not be reachable from outside; there the token is asked for
only if it is set.

What begins with `berrante_queue_` is of the whole service, whichever process tells it: aggregate it with
`max by (queue)`, and the rest with `sum`. `deploy/grafana-dashboard.json` shows them, `deploy/alerts.yaml` holds rules
for Prometheus.

| metric | kind | labels | meaning |
|---|---|---|---|
"""


def names(metrics: Metrics) -> dict[str, tuple[str, tuple[str, ...], str]]:
    """Return each metric by the name that queries use, with its kind, its labels and its meaning."""
    found: dict[str, tuple[str, tuple[str, ...], str]] = {}
    for collector in dict.fromkeys(metrics.registry._collector_to_names):
        assert isinstance(collector, MetricWrapperBase)
        (family,) = collector.describe()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = (family.type, collector._labelnames, family.documentation)
    return found


def markdown() -> str:
    """Return ``docs/metrics.md``."""
    return _HEAD + "".join(
        f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels) or '-'} | {meaning} |\n"
        for name, (kind, labels, meaning) in names(Metrics(version="")).items()
    )
