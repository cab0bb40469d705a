"""``python -m berrante.telemetry [metrics]`` writes ``docs/events.md`` or ``docs/metrics.md`` to standard output."""

import sys

from berrante.telemetry import events, metrics_page

sys.stdout.write(metrics_page.markdown() if sys.argv[1:] == ["metrics"] else events.markdown())
