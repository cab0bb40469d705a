"""``python -m berrante.telemetry`` writes ``docs/events.md`` to standard output."""

import sys

from berrante.telemetry.events import markdown

sys.stdout.write(markdown())
