"""Starts the fake WhatsApp Web server and gives it orders."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.connections.tls import Certificates
from tests.waiting import until

MAIN = Path(__file__).parents[2] / "fakes" / "whatsapp-web" / "main.js"
NUMBER = "15550001"


@dataclass(frozen=True, kw_only=True)
class FakeWhatsApp:
    """WhatsApp as a test sees it: the number ``NUMBER`` and contacts, by their digits."""

    wa: str
    root: str
    certificates: Certificates
    _client: httpx.AsyncClient

    async def order(self, name: str, /, **order: Any) -> Any:
        response = await self._client.post(f"/admin/{name}", json=order)
        assert response.is_success, response.text
        return response.json()

    async def contacts(self, *users: str) -> None:
        await self.order("contacts", users=users)

    async def scan(self, qr: str, user: str = NUMBER) -> None:
        await self.order("scan", qr=qr, user=user)

    async def write(self, sender: str, text: str, **order: Any) -> str:
        """Let a contact write; returns the message's id."""
        return str((await self.order("write", **{"user": NUMBER, "text": text} | order | {"from": sender}))["id"])

    async def fault(self, kind: str, **order: Any) -> None:
        await self.order("fault", kind=kind, **order)

    async def seen(self, contact: str | None = None) -> list[dict[str, Any]]:
        """Return what contacts saw, with how many copies of each came."""
        ledger: list[dict[str, Any]] = await self.order("ledger")
        return [entry for entry in ledger if contact in {None, entry["contact"]}]

    async def texts(self, contact: str | None = None) -> list[str]:
        return [entry["text"] for entry in await self.seen(contact)]

    async def account(self, user: str = NUMBER) -> dict[str, Any]:
        answer: dict[str, Any] = await self.order("account", user=user)
        return answer

    async def until_connected(self, user: str = NUMBER) -> None:
        async def is_connected() -> bool:
            return bool((await self.account(user))["connected"])

        await until(is_connected, timeout_s=30)


@asynccontextmanager
async def fake_whatsapp(node: Path, certificates: Certificates) -> AsyncIterator[FakeWhatsApp]:
    """Run the server for the time of the block."""
    process = await asyncio.create_subprocess_exec(
        str(node),
        str(MAIN),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"TLS_CHAIN": str(certificates.chain), "TLS_KEY": str(certificates.key)},
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        said = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
        async with httpx.AsyncClient(base_url=said["url"], timeout=60) as client:
            yield FakeWhatsApp(wa=said["wa"], root=said["root"], certificates=certificates, _client=client)
    finally:
        process.stdin.close()
        await process.wait()
