"""The service over real engines, served over HTTP, and a browser."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright

from berrante.app import Application
from berrante.app.serving import address_of, listen, serve
from berrante.web.app import create_app
from tests.app.conftest import application, settings
from tests.browser.chromium import chromium
from tests.waiting import until

__all__ = ["application", "settings"]

EMAIL, PASSWORD = "owner@example.com", "correct horse battery"


@pytest.fixture
async def address(application: Application) -> AsyncIterator[str]:
    """Where the web side answers; the owner can log in."""
    await application.people.ensure_owner(EMAIL, PASSWORD)
    stop, listener = asyncio.Event(), listen("127.0.0.1", 0)
    address = address_of(listener)
    serving = asyncio.create_task(serve(create_app(application), listener, until=stop))

    async def answers() -> bool:
        async with httpx.AsyncClient() as client:
            try:
                return (await client.get(f"{address}/health/redis")).status_code == 200
            except httpx.TransportError:
                return False

    await until(answers)
    yield address
    stop.set()
    await serving


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    path = chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()


@dataclass
class Visit:
    """A page, and whatever went wrong on it: no policy may be broken, no file missing, no script fail."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    async def photograph(self, name: str) -> None:
        """Keep a picture, if somebody wants to look (``BERRANTE_SCREENSHOTS`` names a folder)."""
        if folder := os.environ.get("BERRANTE_SCREENSHOTS"):
            await self.page.screenshot(path=Path(folder) / f"{name}.png")

    def listen(self) -> None:
        def said(message: ConsoleMessage) -> None:
            # Chromium's advice on a preload that was not used within some seconds says that the machine is slow.
            is_slow = "was preloaded using link preload but not used" in message.text
            if message.type in {"error", "warning"} and not is_slow:
                self.complaints.append(f"{message.text} ({message.location})")

        self.page.on("console", said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("requestfailed", self._failed)

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # whoever goes to another page waits for no answer
            self.complaints.append(f"{request.url}: {request.failure}")
