"""``python -m berrante`` is the command ``berrante``."""

from berrante.cli import main

main()
