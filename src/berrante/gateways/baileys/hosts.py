"""WhatsApp's media hosts, as it names them to a number that is connected."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import httpx

from berrante.gateways.baileys.refusals import held, refused
from berrante.gateways.baileys.sidecars import Sidecars

#: What WhatsApp's own web client says of itself there.
ORIGIN: Final = "https://web.whatsapp.com"
_TIMEOUT: Final = httpx.Timeout(60.0, connect=5.0)
_AWAY_MS: Final = 2_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """The hosts, the best first, and the pass with which files are put there."""

    names: Sequence[str]
    auth: str


class MediaHosts:
    """Asks the sidecar that holds the number; ``trust`` is another authority than the public ones, for tests."""

    def __init__(self, sidecars: Sidecars, *, trust: ssl.SSLContext | None = None) -> None:
        self._sidecars = sidecars
        self.client = httpx.AsyncClient(timeout=_TIMEOUT, verify=trust if trust is not None else True)

    async def of(self, organization_id: UUID, instance_id: str) -> Named:
        """Return them; raises ``SendError`` when the number is not connected."""
        try:
            response = await self._sidecars.media(instance_id, organization_id=organization_id)
        except httpx.TransportError as error:
            reason = f"the sidecar did not answer ({type(error).__name__})"
            raise held(reason, code="sidecar_away", for_ms=_AWAY_MS) from error
        said = response.json()
        if response.status_code == httpx.codes.CONFLICT:
            raise refused(said["error"])
        if not response.is_success:
            raise held(f"the sidecar answers {response.status_code}", code="sidecar_away", for_ms=_AWAY_MS)
        return Named(names=said["hosts"], auth=said["auth"])
