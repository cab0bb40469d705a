"""One server's operating-system process: started so that it outlives us, and found again by the folder it works in."""

import asyncio
import contextlib
import importlib.util
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from berrante.embedded.errors import EmbeddedUnavailable

with contextlib.suppress(ImportError):
    # ``find`` says what is missing; importing this module must not, so that the error can be caught by its name.
    import psutil

_POLL_S: Final = 0.02
_LOG_TAIL_BYTES: Final = 4000


class ServerProcess:
    """A running server.

    It is recognised by its program's name and its working folder, never by a number in a file: after a power loss that
    number may belong to anyone.
    """

    def __init__(self, process: "psutil.Process") -> None:
        self._process = process
        self.pid: int = process.pid

    @classmethod
    def find(cls, folder: Path, *, program: str) -> list[Self]:
        """List the servers at work in ``folder``: one, or the orphans of one that was killed, or none.

        A server's own children are not listed beside it. Raises ``EmbeddedUnavailable`` without the package ``psutil``.
        """
        if importlib.util.find_spec("psutil") is None:
            raise EmbeddedUnavailable(program, reason="no module 'psutil'")
        found = {process.pid: process for process in psutil.process_iter() if _serves(process, folder, program)}
        return [cls(process) for process in found.values() if _parent(process) not in found]

    @classmethod
    def spawn(
        cls,
        argv: Sequence[str | Path],
        *,
        folder: Path,
        log: Path,
        user: int | None = None,
        group: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """Start a program in a session of its own; what it writes goes to the end of ``log``.

        No descriptor of ours passes to it, so it never holds our data folder's lock.
        """
        with log.open("ab") as output:
            child = subprocess.Popen(  # noqa: S603  a program of an installed package
                argv,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=None if environment is None else dict(environment),
                user=user,
                group=group,
                extra_groups=None if user is None else [],
            )
        # Looked up before anyone waits for it: until then even one that ended at once has its number.
        server = cls(psutil.Process(child.pid))
        # A server that dies under us must not stay a zombie.
        threading.Thread(target=child.wait, name=f"reap-{child.pid}", daemon=True).start()
        return server

    def alive(self) -> bool:
        """Tell whether the process runs; one that ended and waits for its parent to notice does not."""
        try:
            return self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def send(self, number: signal.Signals) -> None:
        """Signal the process; nothing happens when it is gone already."""
        if self.alive():
            try:
                self._process.send_signal(number)
            except psutil.NoSuchProcess:
                return

    async def gone(self, *, within_s: float) -> bool:
        """Wait until the process has ended; return False if it still runs after ``within_s``."""
        deadline = time.monotonic() + within_s
        while self.alive():
            if time.monotonic() > deadline:
                return False
            await pause()
        return True


async def pause() -> None:
    """Let a moment pass between two looks at a server."""
    await asyncio.sleep(_POLL_S)


def tail(log: Path) -> str:
    """Return the last lines of a log file, or nothing if there is none."""
    try:
        with log.open("rb") as lines:
            size = lines.seek(0, os.SEEK_END)
            lines.seek(max(0, size - _LOG_TAIL_BYTES))
            return lines.read().decode(errors="replace").strip()
    except FileNotFoundError:
        return ""


def _serves(process: "psutil.Process", folder: Path, program: str) -> bool:
    try:
        return process.name() == program and process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        # Ended meanwhile, or another user's: ours can be read.
        return False


def _parent(process: "psutil.Process") -> int | None:
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return None
