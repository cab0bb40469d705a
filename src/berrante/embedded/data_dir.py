"""The folder that holds everything of one installation, and the lock that gives it to one process."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from berrante.embedded.errors import DataDirInUse


class DataDir:
    """A data folder that only one process uses at a time; created when missing.

    The kernel frees the lock when the process ends, however it ends. Programs started from here do not inherit it;
    a child made by a bare ``fork`` would, and would hold the folder as long as it lives.

    ``with DataDir(Path(".berrante")) as data_dir: data_dir / "valkey"``. Raises ``DataDirInUse``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self._lock: int | None = None

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def __enter__(self) -> Self:
        if not self.path.exists():
            self.path.mkdir(parents=True)
            # Passage for PostgreSQL's own user where we are root, but no listing.
            self.path.chmod(0o711)
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 32, 0).decode(errors="replace").strip()
            os.close(lock)
            raise DataDirInUse(self.path, pid=int(holder) if holder.isdecimal() else None) from None
        # The file stays when the lock goes: unlinking it would let two processes lock two files of one name.
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
