"""From an address to clients: one server, or whichever Sentinels name as the primary, or has a cell of a cluster."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.sentinel import Sentinel

from berrante.engine import cluster
from berrante.engine.cluster import Cell, CellConnection, ClusterAddress, EncryptedCellConnection

_SENTINEL: Final = ("redis+sentinel", "rediss+sentinel")
_PORT: Final = 26_379


@dataclass(frozen=True, kw_only=True, slots=True)
class SentinelAddress:
    """``redis+sentinel://user:password@host:port,host:port/service/database``, read.

    The user and password are the primary's. ``options`` are what stands behind the ``?``: ``sentinel_username`` and
    ``sentinel_password``, and with ``rediss+sentinel`` redis-py's ``ssl_…``, which hold for both.

    >>> SentinelAddress.of("redis+sentinel://:pw@s1,s2:26380/mymaster/2").sentinels
    (('s1', 26379), ('s2', 26380))
    """

    sentinels: tuple[tuple[str, int], ...]
    service: str
    database: int
    username: str | None
    password: str | None
    encrypted: bool
    options: dict[str, str]

    @classmethod
    def of(cls, url: str) -> "SentinelAddress":
        """Read an address; raises ``ValueError`` that names what is missing and holds no password."""
        parsed = urlsplit(url)
        login, _, hosts = parsed.netloc.rpartition("@")
        username, _, password = login.partition(":")
        service, _, database = parsed.path.strip("/").partition("/")
        if not service or not hosts:
            raise ValueError(
                f"a {parsed.scheme} address has to name its service: {parsed.scheme}://host:port/service/0"
            )
        return cls(
            sentinels=tuple(_host(host) for host in hosts.split(",")),
            service=service,
            database=int(database or 0),
            username=unquote(username) or None,
            password=unquote(password) or None,
            encrypted=parsed.scheme.startswith("rediss"),
            options=dict(parse_qsl(parsed.query)),
        )


def _host(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    return (host, int(port)) if colon else (text, _PORT)


class Addressing:
    """Opens clients of one address. ``settings`` are redis-py's, for every connection."""

    def __init__(self, url: str, settings: dict[str, Any]) -> None:
        self._url = url
        self._settings = settings
        self._address: SentinelAddress | None = None
        self._sentinel: Sentinel | None = None
        if urlsplit(url).scheme in _SENTINEL:
            self._address = SentinelAddress.of(url)
            self._sentinel = _sentinel(self._address, settings)
        self._cell: Cell | None = None
        if urlsplit(url).scheme in cluster.SCHEMES:
            self._cell = Cell(ClusterAddress.of(url), settings)

    def admit(self, prefix: str) -> None:
        """Raise ``ValueError`` if queues under ``prefix`` cannot live there: on a cluster they need the cell's tag."""
        if self._cell is not None:
            self._cell.address.admit(prefix)

    def within(self, name: str) -> str:
        """Return ``name``, with the cell's tag on a cluster."""
        return name if self._cell is None else f"{{{self._cell.address.tag}}}{name}"

    def client(self, *, single: bool = False, **more: Any) -> Redis:  # noqa: ANN401  redis-py's settings
        """Open a client; each of its connections asks Sentinels, or a cluster's nodes, where to go now."""
        if self._cell is not None:
            return Redis.from_pool(self._pool_of(self._cell, **more))
        if self._sentinel is None or self._address is None:
            return Redis.from_url(self._url, single_connection_client=single, **self._settings, **more)
        address = self._address
        client: Redis = self._sentinel.master_for(
            address.service,
            db=address.database,
            username=address.username,
            password=address.password,
            **_tls(address),
            **self._settings,
            **more,
        )
        return client

    def connection(self) -> tuple[AbstractConnection, ConnectionPool]:
        """Make one connection, not yet opened, with the pool that has to live as long as it does."""
        pool = self.client(socket_timeout=None).connection_pool
        return pool.make_connection(), pool  # type: ignore[no-untyped-call]

    def _pool_of(self, cell: Cell, **more: Any) -> ConnectionPool:  # noqa: ANN401  redis-py's settings
        address = cell.address
        kind = EncryptedCellConnection if address.encrypted else CellConnection
        own: dict[str, Any] = {"username": address.username, "password": address.password, **address.options}
        return ConnectionPool(connection_class=kind, cell=cell, **own, **self._settings, **more)

    async def close(self) -> None:
        """Close the connections to Sentinels."""
        for sentinel in self._sentinel.sentinels if self._sentinel else ():
            await sentinel.aclose()


def _sentinel(address: SentinelAddress, settings: dict[str, Any]) -> Sentinel:
    own = {
        "username": address.options.get("sentinel_username"),
        "password": address.options.get("sentinel_password"),
        "socket_timeout": settings["socket_connect_timeout"],
        **_tls(address),
        **settings,
    }
    return Sentinel(list(address.sentinels), sentinel_kwargs=own)  # type: ignore[no-untyped-call]


def _tls(address: SentinelAddress) -> dict[str, Any]:
    if not address.encrypted:
        return {}
    return {"ssl": True} | {name: value for name, value in address.options.items() if name.startswith("ssl_")}
