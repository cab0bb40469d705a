"""Each peer's own environment, made once under ``.bench`` from exact versions."""

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_PEERS = Path(__file__).parent / "peers"
_ENVIRONMENTS = ROOT / ".bench"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A queue library to measure. ``share`` is its part of the jobs: slow ones get fewer, the rate is the same."""

    name: str
    title: str
    package: str
    share: float = 0.15

    @property
    def script(self) -> Path:
        return _PEERS / self.name / ("bench.mjs" if self.name == "node" else "bench.py")

    @property
    def version(self) -> str:
        """The version that is pinned."""
        if self.name == "node":
            return _after('"bullmq": "', (_PEERS / "node" / "package.json").read_text()).split('"')[0]
        if self.name == "berrante":
            return "this tree"
        return _after(f"{self.package}==", (_PEERS / f"{self.name}.txt").read_text()).split()[0]


PEERS = {
    peer.name: peer
    for peer in (
        Peer(name="berrante", title="Berrante", package="berrante", share=1),
        Peer(name="node", title="BullMQ (Node)", package="bullmq", share=1),
        Peer(name="bullmq_py", title="bullmq (PyPI)", package="bullmq"),
        Peer(name="arq", title="arq", package="arq"),
        Peer(name="saq", title="SAQ", package="saq"),
        Peer(name="taskiq", title="taskiq", package="taskiq"),
        Peer(name="streaq", title="streaq", package="streaq"),
        Peer(name="dramatiq", title="Dramatiq", package="dramatiq"),
        Peer(name="celery", title="Celery", package="celery"),
    )
}


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How a peer's script is started."""

    command: tuple[str, ...]
    environment: dict[str, str]


def prepare(peer: Peer) -> Launch:
    """Make the peer's environment unless its versions are there already, and return how to start it.

    Raises ``subprocess.CalledProcessError`` if an installer fails; it has said why on the standard error stream.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    if peer.name == "berrante":
        return Launch(command=(sys.executable, str(peer.script)), environment=environment)
    folder = _ENVIRONMENTS / peer.name
    if peer.name == "node":
        sources = [_PEERS / "node" / "package.json", _PEERS / "node" / "package-lock.json"]
        _once(folder, sources, _install_node)
        environment["BENCH_ENVIRONMENT"] = str(folder)
        return Launch(command=(_tool("node"), str(peer.script)), environment=environment)
    _once(folder, [_PEERS / f"{peer.name}.txt"], _install_python)
    return Launch(command=(str(folder / "bin" / "python"), str(peer.script)), environment=environment)


def _once(folder: Path, sources: list[Path], install) -> None:
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    done = folder / "installed"
    if done.exists() and done.read_text() == digest:
        return
    print(f"making {folder.relative_to(ROOT)}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(exist_ok=True)
    install(folder, sources)
    done.write_text(digest)


def _install_python(folder: Path, sources: list[Path]) -> None:
    uv = _tool("uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    python = str(folder / "bin" / "python")
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "-r", str(sources[0])], check=True)


def _install_node(folder: Path, sources: list[Path]) -> None:
    folder.mkdir()
    for source in sources:
        shutil.copyfile(source, folder / source.name)
    # Scripts are off: the only one builds an optional native MessagePack, whose ready-made one is installed beside it.
    command = [_tool("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    # npm is a script of node's: let it find the node that is beside it.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PATH": path})


def _tool(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"there is no {name} beside {sys.executable}: run make install")
    return found


def _after(mark: str, text: str) -> str:
    return text.partition(mark)[2]
