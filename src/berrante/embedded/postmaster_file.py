"""PostgreSQL's own ``postmaster.pid``: which process serves a data folder, through which socket, and if it is ready."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_PID, _SOCKET_FOLDER, _STATUS = 0, 4, 7
_NAME: Final = "postmaster.pid"


@dataclass(frozen=True, kw_only=True)
class PostmasterFile:
    """What the file says; whether it still holds is for the caller to see."""

    pid: int
    socket_folder: Path
    ready: bool

    @classmethod
    def read(cls, cluster: Path) -> Self | None:
        """Read the file; None if there is none, or not yet all of it."""
        try:
            lines = [line.strip() for line in (cluster / _NAME).read_text().splitlines()]
        except FileNotFoundError:
            return None
        if len(lines) <= _STATUS or not lines[_PID].isdecimal():
            return None
        return cls(pid=int(lines[_PID]), socket_folder=Path(lines[_SOCKET_FOLDER]), ready=lines[_STATUS] == "ready")

    @staticmethod
    def remove_if_foreign(cluster: Path) -> None:
        """Remove the file if the process it names is alive but no server of ours.

        To be called only when no server works in the folder. PostgreSQL itself sees that a dead process's file is
        stale, but gives way to any live process of that number, which after a power loss is anyone.
        """
        path = cluster / _NAME
        try:
            written = path.read_text().partition("\n")[0].strip()
        except FileNotFoundError:
            return
        try:
            os.kill(int(written), 0)
        except (ValueError, OSError):
            # Unreadable, dead, or another user's: PostgreSQL is not misled, and says best what it makes of it.
            return
        path.unlink()
