"""The sidecar as our child: started when it is needed, started again when it dies, ended with us."""

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from berrante.gateways.baileys.installation import Installed, install

#: Told of each line that the sidecar logs: level, event, fields.
Listener = Callable[[str, str, Mapping[str, Any]], None]

_FIRST_REST_S: Final = 0.5
_LONGEST_REST_S: Final = 30.0
_STOP_S: Final = 8.0
_LINE_LIMIT: Final = 1_048_576
_HEAP_MB: Final = 1_024  # 100 numbers with room to spare; beyond it Node ends rather than the machine


class SidecarProcess:
    """One sidecar, watched.

    ``environment`` is what the sidecar reads (``Configuration.environment``) beside our own environment. However we
    end, it ends: it holds our end of its standard input.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        data_dir: Path,
        listener: Listener,
        installed: Installed | None = None,
    ) -> None:
        self.environment = dict(environment)
        self._data_dir = data_dir
        self._listener = listener
        self._installed = installed
        self._needed = asyncio.Event()
        self.ready = asyncio.Event()
        self.pid: int | None = None

    def need(self) -> None:
        """Have it started, if it is not."""
        self._needed.set()

    async def run(self) -> None:
        """Wait until it is needed, then keep it running until cancelled.

        Raises ``NodeMissing`` and ``SidecarUninstalled`` if it cannot even be started.
        """
        await self._needed.wait()
        installed = self._installed
        if installed is None:
            installed = await asyncio.to_thread(install, self._data_dir)
        rest_s = _FIRST_REST_S
        while True:
            was_ready = await self._once(installed)
            rest_s = _FIRST_REST_S if was_ready else min(rest_s * 2, _LONGEST_REST_S)
            self._listener("error", "sidecar.died", {"restart_in_ms": round(rest_s * 1_000)})
            await asyncio.sleep(rest_s)

    async def _once(self, installed: Installed) -> bool:
        process = await asyncio.create_subprocess_exec(
            str(installed.node),
            f"--max-old-space-size={_HEAP_MB}",
            str(installed.main),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(os.environ) | self.environment | {"SIDECAR_CHILD": "1"},
            limit=_LINE_LIMIT,
        )
        self.pid = process.pid
        try:
            assert process.stdout is not None
            async for line in process.stdout:
                self._hear(line)
            await process.wait()
            return self.ready.is_set()
        finally:
            self.ready.clear()
            self.pid = None
            await _end(process)

    def _hear(self, line: bytes) -> None:
        try:
            said = json.loads(line)
            level, event = said.pop("level"), said.pop("event")
        except (ValueError, KeyError, TypeError, AttributeError):
            # Not ours: Node's own words at a crash. They hold a stack, and nothing of a session.
            level, event, said = "error", "node.said", {"note": line.decode(errors="replace").strip()[:200]}
        if event == "ready":
            self.ready.set()
        self._listener(level, event, said)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_S):
            while process.stdout is not None and await process.stdout.read(65_536):
                pass  # a full pipe would keep it from ending
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
