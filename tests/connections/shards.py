"""A Valkey cluster of three shards, started for one test."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

from redis.asyncio import Redis
from redis.exceptions import RedisError

from berrante.embedded.valkey import _program
from berrante.engine.cluster import ClusterAddress
from tests.connections.tls import Certificates, tls_before
from tests.waiting import until

SLOTS = 16_384


@dataclass(frozen=True)
class Node:
    """One server; ``shown`` is the port by which the cluster's clients know it."""

    process: asyncio.subprocess.Process
    client: Redis
    port: int
    bus: int
    shown: int

    async def name(self) -> str:
        return bytes(await self.client.execute_command("CLUSTER MYID")).decode()

    async def kill(self) -> None:
        """End it without any warning."""
        self.process.kill()
        await self.process.wait()


class Shards:
    """Three servers of one cluster, each with a third of the slots, and the replicas that a test adds."""

    def __init__(self, nodes: list[Node], start: "_Start", authority: Path | None) -> None:
        self.nodes = nodes
        self.clients = [node.client for node in nodes]
        self._start = start
        self._authority = authority

    def url(self, cell: str = "") -> str:
        hosts = ",".join(f"127.0.0.1:{node.shown}" for node in self.nodes)
        if self._authority is None:
            return f"redis+cluster://{hosts}/{cell}"
        return f"rediss+cluster://{hosts}/{cell}?ssl_ca_certs={quote(str(self._authority))}"

    async def owner(self, cell: str) -> int:
        """Which of the three has the cell's slot."""
        shown = await self.server_of(cell, asked=self.nodes[0])
        return [node.shown for node in self.nodes].index(shown)

    async def server_of(self, cell: str, *, asked: Node) -> int:
        """The port of the server that has the cell's slot, as one of the nodes says."""
        slot = ClusterAddress.of(self.url(cell)).slot
        for first, last, node, *_ in await asked.client.execute_command("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return int(node[1])
        raise AssertionError(slot)

    async def move(self, cell: str, to: int) -> None:
        """Move the cell's slot with its keys, as an operator does who spreads the load."""
        slot, was = ClusterAddress.of(self.url(cell)).slot, await self.owner(cell)
        name = await self.nodes[to].name()
        await self.clients[was].execute_command("CLUSTER MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", name)

        async def has_moved() -> bool:
            return await self.owner(cell) == to

        await until(has_moved, timeout_s=30)

    async def add_replica(self, of: Node) -> Node:
        """Add a server that follows one of the three, and wait until it has all that there is."""
        replica, name = await self._start(), await of.name()
        await replica.client.execute_command("CLUSTER MEET", "127.0.0.1", of.port, of.bus)

        async def follows() -> bool:
            try:
                await replica.client.execute_command("CLUSTER REPLICATE", name)
                link = (await replica.client.info("replication")).get("master_link_status")
            except RedisError:  # it has not heard of the other yet
                return False
            told = [str(await node.client.execute_command("CLUSTER NODES")) for node in self.nodes]
            return link == "up" and all("slave" in each for each in told)

        await until(follows, timeout_s=30)
        return replica


class _Start:
    """Starts servers in folders of their own, until the stack is left."""

    def __init__(self, folder: Path, stack: AsyncExitStack, made: Certificates | None, timeout_ms: int) -> None:
        self._folder = folder
        self._stack = stack
        self._made = made
        self._timeout_ms = timeout_ms

    async def __call__(self) -> Node:
        port, bus = _free_ports(2)
        shown = port
        if self._made is not None:
            connect = partial(asyncio.open_connection, "127.0.0.1", port)
            shown = await self._stack.enter_async_context(tls_before(connect, self._made.server_context()))
        folder = self._folder / str(port)
        folder.mkdir()
        config = folder / "valkey.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\ncluster-enabled yes\ncluster-port {bus}\nsave ''\n"
            f"cluster-announce-port {shown}\nrepl-diskless-sync-delay 0\n"
            f"cluster-node-timeout {self._timeout_ms}\nmaxmemory-policy noeviction\nappendonly no\n"
        )
        process = await asyncio.create_subprocess_exec(
            str(_program()), str(config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        node = Node(process, Redis(port=port, protocol=2), port, bus, shown)
        self._stack.push_async_callback(_end, node)

        async def answers() -> bool:
            try:
                return bool(await node.client.ping())
            except (RedisError, OSError):
                return False

        await until(answers, timeout_s=30)
        return node


@asynccontextmanager
async def running(folder: Path, *, made: Certificates | None = None, timeout_ms: int = 5_000) -> AsyncIterator[Shards]:
    """Start three shards; with certificates, clients reach them over TLS alone."""
    async with AsyncExitStack() as stack:
        start = _Start(folder, stack, made, timeout_ms)
        nodes = list(await asyncio.gather(*(start() for _ in range(3))))
        third = SLOTS // 3 + 1
        for number, node in enumerate(nodes):
            first, last = number * third, min(SLOTS, (number + 1) * third) - 1
            await node.client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
            await node.client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            if number:
                await node.client.execute_command("CLUSTER MEET", "127.0.0.1", nodes[0].port, nodes[0].bus)

        async def are_one() -> bool:
            told = [bytes(await node.client.execute_command("CLUSTER", "INFO")).decode() for node in nodes]
            return all("cluster_state:ok" in each and "cluster_known_nodes:3" in each for each in told)

        await until(are_one, timeout_s=30)
        yield Shards(nodes, start, made.authority if made else None)


async def _end(node: Node) -> None:
    await node.client.aclose()
    if node.process.returncode is None:
        node.process.terminate()
        await node.process.wait()


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports
