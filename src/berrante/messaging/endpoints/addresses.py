"""Where a webhook may go: a URL's form, and which addresses of the network are the public's.

Whoever may name a URL for us to call must not reach with it what only we can reach (SSRF): our own machine, its
network, a cloud's metadata service.
"""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

from berrante.messaging.errors import Invalid
from berrante.messaging.fields import storable

_LONGEST: Final = 2_000
_NAME: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62}(?<!-))?(\.[a-z0-9_]([a-z0-9_-]{0,62}(?<!-))?)*\.?")

#: IANA's IPv4 special-purpose registry, multicast and the reserved block: nothing of it is a public server.
_NOT_PUBLIC_4: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
#: The only IPv6 that is given to servers. It leaves out ::1, IPv4-mapped ::ffff:0:0/96, NAT64 64:ff9b::/96 and
#: 64:ff9b:1::/48, fc00::/7, fe80::/10, fec0::/10 and ff00::/8.
_PUBLIC_6: Final = IPv6Network("2000::/3")
#: Within it: protocols (Teredo and others, which carry IPv4 addresses), documentation, 6to4, documentation.
_NOT_PUBLIC_6: Final = tuple(
    IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)


def is_allowed(address: str, *, loopback: bool = False) -> bool:
    """Tell whether we may connect to an address: a public one, or with ``loopback`` this machine's own.

    >>> is_allowed("203.0.114.9"), is_allowed("169.254.169.254"), is_allowed("::ffff:10.0.0.1")
    (True, False, False)
    """
    ip = ip_address(address)
    if loopback and ip.is_loopback:
        return True
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in _NOT_PUBLIC_4)
    assert isinstance(ip, IPv6Address)
    return ip in _PUBLIC_6 and not any(ip in network for network in _NOT_PUBLIC_6)


def checked_url(url: str, *, loopback: bool = False) -> str:
    """Return the URL of an endpoint; raises ``Invalid`` unless it is ``https`` and names a host that may be called.

    ``loopback``, for development, allows ``http`` and this machine's own addresses. A name is looked up, and its
    addresses are checked, at every delivery.
    """
    if len(url) > _LONGEST:
        raise Invalid("url", f"has {len(url)} characters", remedy=f"give at most {_LONGEST}")
    if not url.isascii() or not url.isprintable() or " " in url or storable(url) != url:
        raise Invalid("url", "has characters that a URL cannot have", remedy="percent-encode them")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Invalid("url", f"is malformed ({error})", remedy="give https://host/path") from error
    if parts.scheme != "https" and not (loopback and parts.scheme == "http"):
        raise Invalid("url", f"begins with {parts.scheme[:20]!r}", remedy="give https://…")
    if not host or "\\" in url:
        raise Invalid("url", "has no host", remedy="give https://host/path")
    if parts.username is not None or parts.password is not None:
        raise Invalid("url", "has a user or password", remedy="check our signature instead: see docs/webhooks.md")
    if parts.fragment:
        raise Invalid("url", "has a fragment", remedy="leave out '#' and what follows")
    if port == 0:
        raise Invalid("url", "has port 0", remedy="give another, or none")
    if not _is_address(host) and not _NAME.fullmatch(host):
        raise Invalid("url", f"names {host[:60]!r}, which is no host", remedy="give https://host/path")
    if _is_address(host) and not is_allowed(host, loopback=loopback):
        raise Invalid("url", f"names {host}, which is no public address", remedy="give a public server")
    return url


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
