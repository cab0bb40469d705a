"""Calls webhooks as Meta does: signed, in batches, again until 200, and if told so out of order, repeated or late."""

import asyncio
import hashlib
import hmac
import json
import random
from dataclasses import dataclass
from typing import Any, Final

import httpx

Json = dict[str, Any]

_FIRST_RETRY_S: Final = 0.2
_LONGEST_RETRY_S: Final = 60.0


@dataclass(kw_only=True, slots=True)
class Manners:
    """How webhooks come. ``repeat`` is how often each delivery comes, ``held`` keeps all back until it is false."""

    batch: int = 1
    repeat: int = 1
    shuffle: bool = False
    delay_ms: int = 0
    held: bool = False
    receipts: tuple[str, ...] = ("sent", "delivered")


@dataclass(frozen=True, slots=True)
class _Change:
    field: str
    value: Json


class Webhooks:
    """One app's webhook."""

    def __init__(
        self, client: httpx.AsyncClient, *, url: str | None, app_secret: str, account: str, luck: random.Random
    ) -> None:
        self.manners = Manners()
        self.url = url
        self.delivered = 0
        self.refused = 0
        self._client = client
        self._app_secret = app_secret
        self._account = account
        self._luck = luck
        self._waiting: list[_Change] = []
        self._news = asyncio.Event()

    def put(self, field: str, value: Json) -> None:
        """Have a change delivered; changes of one number that wait together may share a delivery."""
        self._waiting.append(_Change(field, value))
        self._news.set()

    @property
    def waiting(self) -> int:
        """How many changes have not been taken yet."""
        return len(self._waiting)

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            if self.manners.delay_ms:
                await asyncio.sleep(self.manners.delay_ms / 1_000)
            await self.flush()

    async def flush(self) -> None:
        """Deliver all that waits, in batches; what nobody takes is tried again, and again, ever later."""
        while self._waiting and not self.manners.held and self.url:
            if self.manners.shuffle:
                self._luck.shuffle(self._waiting)
            batch, self._waiting = self._waiting[: self.manners.batch], self._waiting[self.manners.batch :]
            body = self._body(batch)
            for _ in range(self.manners.repeat):
                await self._deliver(self.url, body)

    def release(self) -> None:
        """Deliver what was held."""
        self.manners.held = False
        self._news.set()

    async def _deliver(self, url: str, body: bytes) -> None:
        digest = hmac.new(self._app_secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-Hub-Signature-256": f"sha256={digest}", "Content-Type": "application/json"}
        wait_s = _FIRST_RETRY_S
        while True:
            try:
                answer = await self._client.post(url, content=body, headers=headers)
                if answer.status_code == 200:
                    self.delivered += 1
                    return
            except httpx.HTTPError:
                pass  # the same as any answer but 200: Meta tries again
            self.refused += 1
            await asyncio.sleep(wait_s)
            wait_s = min(_LONGEST_RETRY_S, wait_s * 2)

    def _body(self, batch: list[_Change]) -> bytes:
        changes: list[Json] = []
        for change in batch:
            last = changes[-1] if changes else None
            if last is not None and change.field == last["field"] == "messages" and _mergeable(last, change.value):
                _merge(last["value"], change.value)
            else:
                # Copied in depth: merging must not change what a later delivery repeats.
                changes.append({"field": change.field, "value": json.loads(json.dumps(change.value))})
        entry = {"id": self._account, "changes": changes}
        return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def _mergeable(last: Json, value: Json) -> bool:
    return bool(last["value"].get("metadata") == value.get("metadata"))


def _merge(into: Json, value: Json) -> None:
    for key in ("contacts", "messages", "statuses"):
        if key in value:
            into.setdefault(key, []).extend(value[key])
