"""The sidecars over HTTP: each number is held by one of them, and asking another tells which."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self
from uuid import UUID

import httpx

from berrante.gateways.baileys.errors import NumberUnknown, SidecarAway
from berrante.gateways.baileys.new_chats import shown

#: A send is answered within the server's acknowledgement, and before the worker itself gives up.
_TIMEOUT: Final = httpx.Timeout(18.0, connect=3.0)
#: Its first start installs packages.
_START_S: Final = 40.0
_START_POLL_S: Final = 0.25
#: How soon a change is seen while somebody watches a number: on loopback, and for the minutes of a pairing.
_LOOK_S: Final = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberStatus:
    """How a number is: ``state`` is absent, connecting, qr, open, waiting, expired, elsewhere, logged_out or banned.

    ``qr`` is the text of a QR code that a phone has to scan within a minute, ``code`` what to type on it instead.
    ``new_chats`` is what WhatsApp said of writing to strangers: ``stopped``, ``locked_until``, ``quota``, ``used``,
    ``quota_ends``; None if it said nothing.
    """

    instance_id: str
    state: str
    me: str | None
    qr: str | None
    code: str | None
    close: dict[str, Any] | None
    alerts: Sequence[dict[str, Any]]
    retry_at: str | None
    new_chats: dict[str, Any] | None


class Sidecars:
    """All sidecars of an installation, by their addresses, over one pooled client."""

    def __init__(
        self, urls: Sequence[str], *, token: str | Callable[[], str], on_need: Callable[[], None] = lambda: None
    ) -> None:
        """Set up; ``on_need`` is called when a number is to be connected, so that who runs the sidecar starts it.

        A ``token`` that is a function is called for each request.
        """
        self._urls = [url.rstrip("/") for url in urls]
        self.on_need = on_need
        self._holders: dict[str, str] = {}

        def authorized(request: httpx.Request) -> httpx.Request:
            request.headers["Authorization"] = f"Bearer {token() if callable(token) else token}"
            return request

        self.client = httpx.AsyncClient(auth=authorized, timeout=_TIMEOUT)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self.client.aclose()

    async def connect(self, instance_id: str, *, organization_id: UUID, phone: str | None = None) -> NumberStatus:
        """Begin to connect or pair the number, by QR, or by a code for ``phone``; harmless when it is under way.

        Waits for a sidecar that is starting. Raises ``SidecarAway``, and ``NumberUnknown`` for an instance that is not
        on Baileys.
        """
        self.on_need()
        data = {"phone": phone} if phone else {}
        deadline = time.monotonic() + _START_S
        while True:
            try:
                return self._status(await self._ask("POST", instance_id, "/connect", data, organization_id))
            except SidecarAway as error:
                # It may be starting for this very number.
                if not isinstance(error.__cause__, httpx.ConnectError) or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_START_POLL_S)

    async def status(self, instance_id: str) -> NumberStatus:
        """Return how the number is; raises ``SidecarAway`` and ``NumberUnknown``."""
        return self._status(await self._ask("GET", instance_id, ""))

    async def log_out(self, instance_id: str) -> NumberStatus:
        """Unlink the number and wipe its keys; raises ``SidecarAway`` and ``NumberUnknown``."""
        return self._status(await self._ask("POST", instance_id, "/logout", {}))

    async def watch(self, instance_id: str) -> AsyncIterator[NumberStatus]:
        """Yield how the number is, now and after each change, whichever sidecar holds it; raises as ``status`` does."""
        before: NumberStatus | None = None
        while True:
            status = await self.status(instance_id)
            if status != before:
                yield status
            before = status
            await asyncio.sleep(_LOOK_S)

    async def send(self, instance_id: str, message: dict[str, Any], *, organization_id: UUID) -> httpx.Response:
        """Hand over a message and return the sidecar's answer, whatever it is; raises ``httpx.TransportError``."""
        return await self._request("POST", instance_id, "/messages", message, organization_id)

    async def media(self, instance_id: str, *, organization_id: UUID) -> httpx.Response:
        """Ask for WhatsApp's media hosts and return the sidecar's answer; raises ``httpx.TransportError``."""
        return await self._request("GET", instance_id, "/media", None, organization_id)

    async def _ask(
        self,
        method: str,
        instance_id: str,
        part: str,
        data: dict[str, Any] | None = None,
        organization_id: UUID | None = None,
    ) -> httpx.Response:
        try:
            response = await self._request(method, instance_id, part, data, organization_id)
        except httpx.TransportError as error:
            url = self._holder(instance_id)
            raise SidecarAway(url, reason=f"does not answer ({type(error).__name__})") from error
        if response.status_code == httpx.codes.NOT_FOUND:
            raise NumberUnknown(instance_id)
        if not response.is_success:
            raise SidecarAway(self._holder(instance_id), reason=f"answers {response.status_code}")
        return response

    async def _request(
        self, method: str, instance_id: str, part: str, data: dict[str, Any] | None, organization_id: UUID | None
    ) -> httpx.Response:
        headers = {"X-Organization": str(organization_id)} if organization_id else {}
        for _ in range(2):
            url = self._holder(instance_id)
            target = f"{url}/instances/{instance_id}{part}"
            try:
                response = await self.client.request(method, target, json=data, headers=headers)
            except httpx.ConnectError:
                self._forget(instance_id, url)
                raise
            if response.status_code != httpx.codes.MISDIRECTED_REQUEST:
                return response
            owner = response.json()["error"]["owner"]
            if owner not in self._urls:  # the token goes nowhere but where the settings say
                return response
            self._holders[instance_id] = owner
        return response

    def _holder(self, instance_id: str) -> str:
        return self._holders.get(instance_id, self._urls[0])

    def _forget(self, instance_id: str, url: str) -> None:
        """Ask the next one from now on: the lease of one that died goes to whoever is asked."""
        following = self._urls[(self._urls.index(url) + 1) % len(self._urls)]
        self._holders[instance_id] = following

    @staticmethod
    def _status(response: httpx.Response) -> NumberStatus:
        said = response.json()
        said["new_chats"] = shown(said["new_chats"], now_ms=time.time_ns() // 1_000_000)
        return NumberStatus(**said)
