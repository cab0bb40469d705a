"""Runs the command as an operator would, in a process of its own."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

_CLEAN = {
    name: value for name, value in os.environ.items() if not name.startswith(("BERRANTE_", "REDIS_", "DATABASE_"))
}


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a command left behind."""

    code: int | None
    output: str
    errors: str


class Command:
    """A command that runs; its output is collected meanwhile."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._output, self._errors = bytearray(), bytearray()
        assert process.stdout is not None
        assert process.stderr is not None
        self._reading = asyncio.gather(_read(process.stdout, self._output), _read(process.stderr, self._errors))

    @property
    def output(self) -> str:
        return self._output.decode()

    @property
    def errors(self) -> str:
        return self._errors.decode()

    async def ended(self, within_s: float = 60) -> Ended:
        async with asyncio.timeout(within_s):
            await self.process.wait()
            await self._reading
        return Ended(code=self.process.returncode, output=self.output, errors=self.errors)


@asynccontextmanager
async def running(*arguments: str, data_dir: Path, **environment: str) -> AsyncIterator[Command]:
    """Start the command; it is killed if it still runs at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "berrante",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**_CLEAN, "BERRANTE_DATA_DIR": str(data_dir), "COLUMNS": "200", **environment},
    )
    command = Command(process)
    try:
        yield command
    finally:
        if process.returncode is None:
            process.kill()
        await command.ended()


async def ran(*arguments: str, data_dir: Path, **environment: str) -> Ended:
    """Run the command to its end."""
    async with running(*arguments, data_dir=data_dir, **environment) as command:
        return await command.ended()


async def _read(stream: asyncio.StreamReader, into: bytearray) -> None:
    while chunk := await stream.read(65_536):
        into += chunk
