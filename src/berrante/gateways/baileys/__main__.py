"""``python -m berrante.gateways.baileys DATA_DIR``: installs the sidecar ahead of its first start."""

import sys
from collections.abc import Callable
from pathlib import Path

from berrante.gateways.baileys.errors import BaileysError
from berrante.gateways.baileys.installation import Installed, install


def main(arguments: list[str], install: Callable[[Path], Installed] = install) -> int:
    """Install, and return 0; or say in one line why not and what to do, and return 1: all else works without."""
    try:
        install(Path(*arguments))
    except BaileysError as error:
        sys.stderr.write(f"Numbers on Baileys cannot be connected yet: {' '.join(str(error).split())}\n")
        sys.stderr.write("Everything else works. Once an npm registry is within reach: make assets\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
