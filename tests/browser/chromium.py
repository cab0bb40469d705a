"""Finds a Chromium, Debian's own; as root, in a container or in CI, it is installed if there is none."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """Return the program's path. Without one: a failure in CI, a skip elsewhere."""
    if (found := _found()) is None and os.geteuid() == 0 and shutil.which("apt-get"):
        with Path(tempfile.gettempdir(), "berrante-chromium.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
            if _found() is None:
                _install()
        found = _found()
    if found is None and os.environ.get("CI"):
        pytest.fail("the browser tests need Chromium: install Debian's package 'chromium'", pytrace=False)
    if found is None:
        pytest.skip("no Chromium: install Debian's package 'chromium' to run the browser tests")
    return found


def _found() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


def _install() -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "chromium"]):
        subprocess.run(["apt-get", *command], env=environment, check=False, timeout=300, capture_output=True)
