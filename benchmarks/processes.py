"""Processes of the product's own, as an operator starts them."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def berrante(environment: dict[str, str], *command: str) -> AsyncIterator[None]:
    """Run a command of the CLI for the length of the block; raises ``RuntimeError`` if it ended before."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "berrante", *command, env=environment)
    try:
        yield
        if child.returncode is not None:
            raise RuntimeError(f"berrante {' '.join(command)} ended with {child.returncode}")
    finally:
        if child.returncode is None:
            child.terminate()
            await child.wait()
