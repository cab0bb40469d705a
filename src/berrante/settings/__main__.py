"""``python -m berrante.settings`` writes ``docs/settings.md`` to standard output."""

import sys

from berrante.settings.table import markdown

sys.stdout.write(markdown())
