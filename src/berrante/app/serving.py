"""Runs the web side in this process's event loop, under this process's signals."""

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from berrante.app.errors import PortTaken
from berrante.telemetry import events

#: Requests that run get this long at a stop.
_GRACE_S: Final = 3


def listen(host: str, port: int, *, option: str = "--port") -> socket.socket:
    """Take the port (0: any free one); raises ``PortTaken``, which names the ``option`` that chooses another."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortTaken(host, port, reason=error.strerror or str(error), option=option) from error
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the URL at which this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"


async def serve(
    app: ASGIApp, listener: socket.socket, *, until: asyncio.Event, trusted_proxies: str = "127.0.0.1"
) -> None:
    """Serve until the event is set; then finish what runs, for some seconds at most.

    Only ``trusted_proxies`` may say in ``X-Forwarded-For`` who is asking.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        ws="none",
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=trusted_proxies,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = _Server(config, url=address_of(listener))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    asked = asyncio.create_task(until.wait())
    try:
        await asyncio.wait([serving, asked], return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    finally:
        asked.cancel()
        serving.cancel()
        await asyncio.gather(asked, serving, return_exceptions=True)
        listener.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, *, url: str) -> None:
        super().__init__(config)
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            events.LISTENING(url=self._url)

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to the process: it has more to stop than the web side."""
        yield
