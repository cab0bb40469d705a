"""The simulator in the test's own process, which outlives the workers, and the gateway by which they reach it."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from uuid import UUID

from berrante.gateways.protocol import Accepted, OutboundMessage, TextContent
from berrante.gateways.simulator import Simulator


class Exchange:
    """Hands the simulator what workers send; ``sends`` counts them by wire id, also what showed nothing new."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.sends: Counter[str] = Counter()

    @asynccontextmanager
    async def open(self, path: Path) -> AsyncIterator[None]:
        server = await asyncio.start_unix_server(self._serve, path)
        delivering = asyncio.create_task(self.simulator.run())
        try:
            yield
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)
            server.close()
            await server.wait_closed()

    def screens(self) -> Counter[str]:
        """Return how many messages each contact saw."""
        return Counter({address: len(seen) for (_, address), seen in self.simulator.ledger.items()})

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):  # whoever asked was killed
            await self._answer(reader, writer)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if not line.endswith(b"\n"):
                break  # cut off in mid-sentence: nothing was asked
            asked = json.loads(line)
            self.sends[asked["wire_id"]] += 1
            accepted = await self.simulator.send(
                OutboundMessage(
                    organization_id=UUID(asked["organization_id"]),
                    instance_id=asked["instance_id"],
                    message_id=UUID(asked["message_id"]),
                    wire_id=asked["wire_id"],
                    to=asked["to"],
                    content=TextContent(body=asked["content"]["body"]),
                )
            )
            writer.write(json.dumps(asdict(accepted)).encode() + b"\n")


class Line:
    """The gateway of a worker process; ``reached`` is told how far a send is."""

    name = "simulator"

    def __init__(self, path: str, *, resend_is_safe: bool, reached: Callable[[str], None]) -> None:
        self.resend_is_safe = resend_is_safe
        self._path = path
        self._reached = reached

    def wire_id(self, message_id: UUID) -> str:
        return f"SIM{message_id.hex.upper()}"

    async def send(self, message: OutboundMessage) -> Accepted:
        self._reached("claimed")
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            writer.write(json.dumps(asdict(message), default=str).encode() + b"\n")
            await writer.drain()
            self._reached("asked")
            answer = json.loads(await reader.readline())
        finally:
            writer.close()
        self._reached("answered")
        return Accepted(**answer)
