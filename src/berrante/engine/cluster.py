"""A cell of a cluster: all of its keys share one hash tag, so one slot, so one server, whichever that is now."""

from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.connection import Connection, SSLConnection
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

SCHEMES: Final = ("redis+cluster", "rediss+cluster")
_TAG: Final = "berrante"
_PORT: Final = 6_379


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterAddress:
    """``redis+cluster://user:password@host:port,host:port/tag``, read; some of the nodes are enough.

    ``tag`` names the cell: every prefix of its queues holds it in braces. ``options`` are redis-py's ``ssl_…``, for
    ``rediss+cluster``.

    >>> address = ClusterAddress.of("redis+cluster://:pw@n1,n2:7001")
    >>> address.nodes, address.tag
    ((('n1', 6379), ('n2', 7001)), 'berrante')
    """

    nodes: tuple[tuple[str, int], ...]
    tag: str
    username: str | None
    password: str | None
    encrypted: bool
    options: dict[str, str]

    @classmethod
    def of(cls, url: str) -> "ClusterAddress":
        """Read an address; raises ``ValueError`` that names what is missing and holds no password."""
        parsed = urlsplit(url)
        login, _, hosts = parsed.netloc.rpartition("@")
        username, _, password = login.partition(":")
        tag = unquote(parsed.path.strip("/")) or _TAG
        if not hosts or set(tag) & set("{}/"):
            raise ValueError(
                f"a {parsed.scheme} address has to name its nodes, and may name a cell: {parsed.scheme}://host,host/cell"
            )
        return cls(
            nodes=tuple(_node(host) for host in hosts.split(",")),
            tag=tag,
            username=unquote(username) or None,
            password=unquote(password) or None,
            encrypted=parsed.scheme.startswith("rediss"),
            options=dict(parse_qsl(parsed.query)),
        )

    @property
    def slot(self) -> int:
        """The slot of all keys of the cell."""
        return int(key_slot(self.tag.encode()))

    def admit(self, prefix: str) -> None:
        """Raise ``ValueError`` unless the keys of queues under ``prefix`` are in the cell."""
        if prefix.partition("{")[2].startswith(self.tag + "}"):
            return
        raise ValueError(
            f"the queues' prefix is {prefix!r}: on a cluster all keys of a cell need one slot, so give the prefix "
            f"'{{{self.tag}}}' (BERRANTE_QUEUE_PREFIX), to Node's queues too"
        )


class Cell:
    """Finds the server that has the cell's slot. ``settings`` are redis-py's, for every connection."""

    def __init__(self, address: ClusterAddress, settings: dict[str, Any]) -> None:
        self.address = address
        self._nodes = list(address.nodes)
        self._settings = {
            **settings,
            **({"ssl": True} | address.options if address.encrypted else {}),
            "username": address.username,
            "password": address.password,
            "socket_timeout": settings["socket_connect_timeout"],
        }

    async def owner(self) -> tuple[str, int]:
        """Ask the nodes, those that answered before first; raises a ``ConnectionError`` if none knows."""
        last: Exception | None = None
        for node in self._nodes:
            try:
                slots = await self._slots(*node)
            except (RedisError, OSError) as error:
                last = error
                continue
            known = [_host(each[2], asked=node[0]) for each in slots]
            self._nodes = list(dict.fromkeys([node, *known, *self.address.nodes]))
            for each, owner in zip(slots, known, strict=True):
                if each[0] <= self.address.slot <= each[1]:
                    return owner
            last = ClusterDownError(f"no server has slot {self.address.slot}")
        raise RedisConnectionError(f"no node of the cluster knows where cell {self.address.tag!r} is: {last}") from last

    async def _slots(self, host: str, port: int) -> list[list[Any]]:
        client = Redis(host=host, port=port, **self._settings)
        try:
            answer = await client.execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
            return cast("list[list[Any]]", answer)
        finally:
            await client.aclose()


class CellConnection(Connection):
    """A connection to whichever server has the cell's slot at the time at which it is opened."""

    def __init__(self, *, cell: Cell, **settings: Any) -> None:  # noqa: ANN401  redis-py's settings
        self._cell = cell
        super().__init__(**settings)

    async def _connect(self) -> None:
        self.host, self.port = await self._cell.owner()
        await super()._connect()  # type: ignore[no-untyped-call]

    async def read_response(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401  as redis-py's
        """Read an answer; where the slot has gone, the next opening finds it, and the caller is told to come again."""
        try:
            return await super().read_response(*arguments, **named)
        except (MovedError, AskError) as error:
            if error.slot_id != self._cell.address.slot:
                raise
            await self.disconnect(nowait=True)
            raise RedisConnectionError(f"the cell's slot goes to another server: {error}") from error


class EncryptedCellConnection(CellConnection, SSLConnection):
    """The same, over TLS."""


def _node(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    return (host, int(port)) if colon else (text, _PORT)


def _host(told: list[Any], *, asked: str) -> tuple[str, int]:
    # A node that does not know its own address leaves it empty.
    return (bytes(told[0] or b"").decode() or asked, int(told[1]))
