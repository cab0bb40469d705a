"""For tests of programs that use the queue engine: a real server without an installation, and the engine's own tools.

See ``docs/testing.md``. Needs the extra ``embedded``.
"""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from berrante.embedded import EmbeddedValkey
from berrante.engine.testing import Ended, MovableClock, assert_enqueued, process_all, ring

__all__ = ["Ended", "MovableClock", "assert_enqueued", "embedded_server", "process_all", "ring"]


@asynccontextmanager
async def embedded_server() -> AsyncIterator[str]:
    """Run a Valkey of one's own on loopback for the time of the block, and yield its URL; nothing of it is kept.

    It takes some 0.1 s to start: share one per session, and give each test a prefix of its own. Raises
    ``EmbeddedUnavailable`` without the extra ``embedded``.

    Example::

        async with embedded_server() as url, Connection.from_url(url) as connection: ...
    """
    with tempfile.TemporaryDirectory(prefix="berrante-") as folder:
        async with EmbeddedValkey(Path(folder) / "valkey") as valkey:
            yield valkey.url
