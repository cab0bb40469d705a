"""What the gateway has to know of a number, and who tells it: the domain, which keeps the token sealed."""

from dataclasses import dataclass, field
from typing import Final, Protocol
from uuid import UUID

GRAPH_URL: Final = "https://graph.facebook.com"
GRAPH_VERSION: Final = "v24.0"


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudNumber:
    """How to speak for one number; the token is not in the ``repr``."""

    phone_number_id: str
    access_token: str = field(repr=False)
    base_url: str = GRAPH_URL
    graph_version: str = GRAPH_VERSION

    def url(self, *path: str) -> str:
        """Return the address of something at the number's Graph.

        >>> CloudNumber(phone_number_id="10", access_token="t").url("10", "messages")
        'https://graph.facebook.com/v24.0/10/messages'
        """
        return "/".join([self.base_url.rstrip("/"), self.graph_version, *path])


class Credentials(Protocol):
    """Finds what is needed to speak for an organization's number; None if there is no token for it."""

    async def __call__(self, *, organization_id: UUID, instance_id: str) -> CloudNumber | None: ...
