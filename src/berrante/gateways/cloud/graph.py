"""Calls to Meta's Graph: one pool of connections for all numbers, and what each way to fail means for a send."""

import re
from collections.abc import Mapping
from typing import Any, Final

import httpx
import msgspec

from berrante.gateways.cloud.credentials import CloudNumber
from berrante.gateways.protocol import Action, InDoubt, Scope, SendError
from berrante.gateways.refusals import refused

#: Shorter than ``SEND_WITHIN_S`` of the outbound handler: we want to say ourselves what was cut off.
_TIMEOUT: Final = httpx.Timeout(connect=5, write=10, read=15, pool=5)
_LIMITS: Final = httpx.Limits(max_connections=200, max_keepalive_connections=100, keepalive_expiry=20)
#: Nothing of the request had left when these were raised.
_BEFORE_SENDING: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)
_UNREACHABLE_MS: Final = 5_000
_NOT_GRAPH_MS: Final = 60_000
_SECONDS: Final = re.compile(r"[0-9]{1,6}")
_SHOWN: Final = 500


class Graph:
    """A pooled client; tokens, addresses and versions are each call's own."""

    def __init__(self, client: httpx.AsyncClient | None = None) -> None:
        self.client = client or httpx.AsyncClient(timeout=_TIMEOUT, limits=_LIMITS, follow_redirects=False)

    async def close(self) -> None:
        """Close all connections."""
        await self.client.aclose()

    async def post(self, number: CloudNumber, path: tuple[str, ...], **body: Any) -> Mapping[str, Any]:  # noqa: ANN401
        """Post and return what Graph answered.

        Raises ``SendError`` if Graph refused, or nothing was sent; ``InDoubt`` if nobody knows.
        """
        try:
            answer = await self.client.post(number.url(*path), headers=authorization(number), **body)
        except _BEFORE_SENDING as error:
            # Not the message's fault, and not the number's: others will find the same, so nothing is held.
            raise SendError(
                f"Graph cannot be reached: {_named(error)}",
                scope=Scope.NUMBER,
                action=Action.RETRY,
                code="graph_unreachable",
                retry_after_ms=_UNREACHABLE_MS,
            ) from error
        except httpx.HTTPError as error:
            raise InDoubt(f"the connection to Graph broke after the request: {_named(error)}") from error
        return read_answer(answer)

    async def get(self, number: CloudNumber, path: tuple[str, ...], **query: str) -> Mapping[str, Any]:
        """Read and return what Graph answered; raises as ``post`` does, though nothing can be in doubt."""
        try:
            answer = await self.client.get(number.url(*path), params=query, headers=authorization(number))
        except httpx.HTTPError as error:
            raise InDoubt(f"Graph does not answer: {_named(error)}") from error
        return read_answer(answer)


def authorization(number: CloudNumber) -> dict[str, str]:
    """Return the header that a number's token travels in."""
    return {"Authorization": f"Bearer {number.access_token}"}


def read_answer(answer: httpx.Response) -> Mapping[str, Any]:
    """Return the object of a success; raises ``SendError`` for a refusal, ``InDoubt`` for what cannot be told."""
    body = _decoded(answer.content)
    error = body.get("error") if body is not None else None
    if isinstance(error, dict):
        raise _refusal(error, answer)
    if answer.is_success and body is not None:
        return body
    if answer.is_client_error and answer.status_code != 408:
        # Graph itself always gives a code: this is a proxy, or a wrong base URL, and no verdict about the message.
        raise SendError(
            f"answered {answer.status_code} without a code of Graph's: check the number's base URL",
            scope=Scope.NUMBER,
            action=Action.RETRY,
            code=f"http_{answer.status_code}",
            retry_after_ms=_retry_after_ms(answer) or _NOT_GRAPH_MS,
        )
    # A proxy in between may have passed the request on before it gave up.
    raise InDoubt(f"Graph answered {answer.status_code}, and nothing that can be read")


def _refusal(error: Mapping[str, Any], answer: httpx.Response) -> SendError:
    code = error.get("code")
    data = error.get("error_data")
    details = data.get("details") if isinstance(data, dict) else None
    texts = [text for text in (error.get("message"), details) if isinstance(text, str) and text]
    return refused(
        str(code) if isinstance(code, int | str) and not isinstance(code, bool) else "unknown",
        ": ".join(dict.fromkeys(texts))[:_SHOWN] or None,
        retry_after_ms=_retry_after_ms(answer),
    )


def _retry_after_ms(answer: httpx.Response) -> int | None:
    header = answer.headers.get("Retry-After", "")
    return int(header) * 1_000 if _SECONDS.fullmatch(header) and int(header) else None


def _decoded(content: bytes) -> dict[str, Any] | None:
    try:
        body = msgspec.json.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _named(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()
