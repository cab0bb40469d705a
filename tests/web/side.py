"""The web side as a synchronous test can ask it, and the checks that every answer has to pass."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from berrante.app import Application
from berrante.web.app import create_app
from tests.app.process import settings_for

_CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)


class Side:
    """An application on a loop of its own."""

    def __init__(self, **urls: str) -> None:
        self._runner = asyncio.Runner()
        self._opening = Application.open(settings_for(**urls, requests_per_minute=0))
        self.application = self.run(self._opening.__aenter__())
        app = create_app(self.application)
        self.document: dict[str, Any] = app.openapi()
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://test")

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work)

    def ask(self, **request: Any) -> httpx.Response:
        return self.run(self._asked(request))

    async def _asked(self, request: dict[str, Any]) -> httpx.Response:
        answer = await self.client.request(**request)
        await answer.request.aread()  # a form's body is a stream, and the checks want to show it
        return answer

    def close(self) -> None:
        self.run(self.client.aclose())
        self.run(self._opening.__aexit__(None, None, None))
        self._runner.close()


def _pairs(files: Any) -> list[tuple[str, Any]]:
    return list(files.items()) if isinstance(files, dict) else list(files)


def _carried(value: Any) -> Any:
    """A form's file as a client can send one: a number drawn in its place becomes its text."""
    if isinstance(value, tuple):
        return tuple(None if each is None else _carried(each) for each in value)
    return value if isinstance(value, bytes | str) else str(value)


def keeps_the_document(
    side: Side,
    cases: Any,
    headers: dict[str, str],
    *,
    examples: int,
    asked: Callable[[httpx.Response], None] = lambda _: None,
) -> None:
    """Ask for so many cases, and check each answer; ``asked`` is told of it."""

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def answers(case: schemathesis.Case) -> None:
        request = case.as_transport_kwargs(base_url="http://test", headers=headers)
        request.pop("cookies", None)
        if isinstance(request.get("data"), bytes | str):
            request["content"] = request.pop("data")
        if request.get("files"):
            request["files"] = [(name, _carried(value)) for name, value in _pairs(request["files"])]
        answer = side.ask(**request)
        asked(answer)
        case.validate_response(answer, checks=_CHECKS)

    answers()
