"""The snippets of ``docs/webhooks.md``, run as they stand there on a delivery that was really sent."""

import asyncio
import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from berrante.messaging.endpoints import EventType, Sender
from berrante.messaging.endpoints.policy import WAITS_S
from berrante.messaging.endpoints.signing import headers, new_secret
from berrante.settings import load
from tests.contract.installation import node
from tests.messaging.receiver import Request, receiving

PAGE = Path(__file__).parents[2] / "docs/webhooks.md"
BODY = '{"data":"preço, ção"}'.encode()
ID = UUID("019ab1f4-6c3e-7d10-8a55-0f3c1b7e9d21")


def _snippet(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(found)


async def _sent(*secrets: str, at: int) -> Request:
    given = headers(secrets, delivery_id=ID, event="webhook.test", timestamp_s=at, attempt=1, body=BODY)
    async with receiving() as receiver:
        answer = await Sender(allow_loopback=True).post(receiver.url, body=BODY, headers=given)
        assert answer.error is None
        return receiver.requests[0]


class _Headers(dict[str, str]):
    """Headers as web frameworks give them: whatever case is asked for."""

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


def _python(secret: str, given: Mapping[str, str], body: bytes) -> bool:
    names: dict[str, Any] = {}
    exec(_snippet("python"), names)
    return bool(names["is_from_berrante"](secret, _Headers(given), body))


async def _node(folder: Path, secret: str, given: Mapping[str, str], body: bytes) -> bool:
    script = folder / "verify.mjs"
    call = f"isFromBerrante({json.dumps(secret)}, {json.dumps(dict(given))}, Buffer.from({list(body)}))"
    script.write_text(f"{_snippet('js')}\nconsole.log({call});\n")
    process = await asyncio.create_subprocess_exec(
        str(node()), str(script), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    return json.loads(out) is True


@pytest.mark.parametrize("language", ["python", "node"])
async def test_a_receiver_takes_what_is_ours_and_nothing_else(language: str, tmp_path: Path) -> None:
    async def verify(secret: str, request: Request, **changed: str) -> bool:
        given = {**request.headers, **{name.replace("_", "-"): value for name, value in changed.items()}}
        if language == "python":
            return _python(secret, given, request.body)
        return await _node(tmp_path, secret, given, request.body)

    now, secret, old = int(time.time()), new_secret(), new_secret()
    request = await _sent(secret, at=now)
    assert await verify(secret, request)
    assert not await verify(old, request)
    rotating = await _sent(secret, old, at=now)
    assert await verify(secret, rotating)
    assert await verify(old, rotating)

    assert not await verify(secret, request, berrante_timestamp=str(now + 1))
    assert not await verify(secret, request, berrante_id=str(UUID(int=1)))
    assert not await verify(secret, request, berrante_signature="v1=é,,v0=")
    assert not await verify(secret, request, berrante_timestamp="soon")
    assert not await verify(secret, await _sent(secret, at=now - 3_600))
    forged = Request(request.method, request.path, request.headers, request.body + b" ")
    assert not await verify(secret, forged)


def test_the_page_lists_every_event_and_the_waits() -> None:
    page = PAGE.read_text()
    assert [event.value for event in EventType if f"`{event.value}`" not in page] == []
    shown = ["5 s", "30 s", "2 min", "10 min", "30 min", "2 h", "6 h", "15 h"]
    assert ", ".join(shown[:-1]) + " and " + shown[-1] in page
    units = {"s": 1, "min": 60, "h": 3_600}
    assert [int(wait.split()[0]) * units[wait.split()[1]] for wait in shown] == list(WAITS_S)


def test_the_setting_that_the_page_names_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERRANTE_WEBHOOKS_ALLOW_LOOPBACK", "true")
    assert "BERRANTE_WEBHOOKS_ALLOW_LOOPBACK=true" in PAGE.read_text()
    assert load().webhooks.allow_loopback is True
