"""Sends one delivery over HTTP, to an address that was checked, within a time, keeping little of the answer."""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import httpx

from berrante import __version__
from berrante.messaging.endpoints.addresses import checked_url, is_allowed
from berrante.messaging.errors import Invalid
from berrante.messaging.fields import storable

WITHIN_S: Final = 10.0
ANSWER_BYTES: Final = 1_024
_LONGEST_ERROR: Final = 300

#: Returns the addresses of a host.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

#: Threads of our own: a name server that is silent for a dozen endpoints must not hold up the process's other look-ups.
_lookups: Final = ThreadPoolExecutor(max_workers=32, thread_name_prefix="webhook-lookup")


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came of one attempt; ``error`` is None if the endpoint took it, that is, answered 2xx in time."""

    status: int | None = None
    body: str | None = None
    ms: int
    error: str | None


class Refused(Exception):
    """The URL leads where no webhook may go."""


async def look_up(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(
        _lookups, lambda: socket.getaddrinfo(host, port, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM)
    )
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class Sender:
    """Posts bytes to URLs that tenants chose.

    The host's addresses are looked up and checked, and the connection goes to one of those very addresses: what the
    name server says a moment later (DNS rebinding) changes nothing. ``Host`` and the certificate's check are the
    name's. Redirects are not followed, proxies of the environment are not used.
    """

    def __init__(
        self,
        *,
        allow_loopback: bool = False,
        resolve: Resolve = look_up,
        within_s: float = WITHIN_S,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self.allow_loopback = allow_loopback
        self._resolve = resolve
        self._within_s = within_s
        self._trust = trust

    async def post(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send once; never raises for what the other side or the network does."""
        started = time.monotonic()
        status: int | None = None
        kept: str | None = None
        try:
            async with asyncio.timeout(self._within_s):
                status, kept = await self._post(url, body, headers)
            error = None if 200 <= status < 300 else _unfit(status)
        except TimeoutError:
            error = f"no whole answer within {self._within_s:g} s"
        except Refused as refused:
            error = str(refused)
        # UnicodeError: how Python says that a name is none that can be looked up.
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as failure:
            error = f"{type(failure).__name__}: {failure}"[:_LONGEST_ERROR]
        ms = round((time.monotonic() - started) * 1_000)
        return Answer(status=status, body=kept, ms=ms, error=storable(error) if error else None)

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        # Again at each delivery: what is allowed may have changed since the URL was stored.
        try:
            checked_url(url, loopback=self.allow_loopback)
        except Invalid as error:
            raise Refused(str(error)) from error
        target = httpx.URL(url)
        addresses = await self._addresses(target)
        own = {
            "Host": target.netloc.decode("ascii"),
            "User-Agent": f"berrante/{__version__}",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        if self._trust is None and target.scheme == "https":
            # Once, and beside the loop: it reads some hundred certificates.
            self._trust = await asyncio.to_thread(httpx.create_ssl_context, trust_env=False)
        for last, address in ((address == addresses[-1], address) for address in addresses):
            request = httpx.Request(
                "POST",
                target.copy_with(host=address),
                content=body,
                headers={**headers, **own},
                extensions={"sni_hostname": target.host, "timeout": httpx.Timeout(self._within_s).as_dict()},
            )
            try:
                # A client for each request: a connection is never shared by two names that have one address.
                async with httpx.AsyncClient(
                    verify=self._trust or False, trust_env=False, follow_redirects=False
                ) as client:
                    return await _answer(client, request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if last:
                    raise
        raise AssertionError("unreachable: there is at least one address")

    async def _addresses(self, target: httpx.URL) -> Sequence[str]:
        port = target.port or (443 if target.scheme == "https" else 80)
        addresses = await self._resolve(target.host, port)
        if not addresses:
            raise Refused(f"{target.host} has no address")
        for address in addresses:
            # One that is not public among public ones is no accident either.
            if not is_allowed(address, loopback=self.allow_loopback):
                raise Refused(f"{target.host} is at {address}, which is no public address: webhooks may not go there")
        return addresses


async def _answer(client: httpx.AsyncClient, request: httpx.Request) -> tuple[int, str]:
    response = await client.send(request, stream=True)
    try:
        kept = b""
        async for chunk in response.aiter_raw():
            kept += chunk[: ANSWER_BYTES - len(kept)]
            if len(kept) >= ANSWER_BYTES:
                break  # the rest is not even read
        return response.status_code, storable(kept.decode("utf-8", "replace"))
    finally:
        await response.aclose()


def _unfit(status: int) -> str:
    if 300 <= status < 400:
        return f"answered {status}: redirects are not followed, give the URL itself"
    return f"answered {status}"
