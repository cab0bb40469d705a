"""The embedded engines' errors.

EmbeddedError
├── EmbeddedUnavailable   the engine's package is not installed, or does not fit this machine
├── DataDirInUse          another process runs on this data folder
├── FolderClosed          PostgreSQL's own user cannot reach a folder, as root's home usually is
├── StartFailed           a server ended, or did not answer, before it was ready
└── StopFailed            a server did not end in time
"""

from pathlib import Path
from typing import ClassVar


class EmbeddedError(Exception):
    """Anything that the embedded engines raise on purpose."""

    code: ClassVar[str] = "embedded_error"


class EmbeddedUnavailable(EmbeddedError):
    """The engine's package is not installed, or does not fit this machine."""

    code = "embedded_unavailable"

    def __init__(self, engine: str, *, reason: str, extra: str = "embedded") -> None:
        super().__init__(f"embedded {engine} is not available: {reason}; run: pip install 'berrante[{extra}]'")
        self.engine = engine


class DataDirInUse(EmbeddedError):
    """Another process runs on this data folder."""

    code = "data_dir_in_use"

    def __init__(self, folder: Path, *, pid: int | None) -> None:
        holder = f"process {pid}" if pid else "another process"
        super().__init__(
            f"the data folder {folder} is in use by {holder}: stop it, or choose another folder with --data-dir"
        )
        self.folder = folder
        self.pid = pid


class FolderClosed(EmbeddedError):
    """PostgreSQL refuses to run as root, and the user that it gets instead cannot reach a folder."""

    code = "folder_closed"

    def __init__(self, folder: Path, *, needed: Path, user: str) -> None:
        super().__init__(
            f"PostgreSQL refuses root, and user {user!r}, as whom it runs instead, cannot reach {needed}: the folder "
            f"{folder} is closed to it. Choose an open place (--data-dir /var/lib/berrante; for the package, a virtual "
            f"environment outside {folder}), run as an ordinary user, or allow passage: chmod o+x {folder}"
        )
        self.folder = folder
        self.needed = needed


class StartFailed(EmbeddedError):
    """A server ended, or did not answer, before it was ready."""

    code = "start_failed"

    def __init__(self, engine: str, *, folder: Path, reason: str, log: str = "") -> None:
        tail = f"; the end of its log:\n{log}" if log else ""
        super().__init__(f"embedded {engine} on {folder} did not start: {reason}{tail}")
        self.engine = engine
        self.folder = folder
        self.reason = reason
        self.log = log


class StopFailed(EmbeddedError):
    """A server did not end in time; it may still be running."""

    code = "stop_failed"

    def __init__(self, engine: str, *, folder: Path, pid: int, waited_s: float) -> None:
        super().__init__(
            f"embedded {engine} on {folder} (process {pid}) did not end within {waited_s:g} s of the request to stop"
        )
        self.engine = engine
        self.folder = folder
        self.pid = pid
