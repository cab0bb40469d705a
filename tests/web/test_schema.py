"""The OpenAPI document is kept: whatever is asked, no 5xx, and no answer outside its schema."""

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
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
from tests.web.access import PASSWORD, owner_headers, tenant

_EXAMPLES = int(os.environ.get("BERRANTE_SCHEMA_EXAMPLES", "8"))
_CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
#: Their answers are a report of the engines, or Meta's.
_ELSEWHERE = ("/health", "/webhooks/", "/metrics")


class Side:
    """An application on a loop of its own, which a synchronous test can ask."""

    def __init__(self, **urls: str) -> None:
        self._runner = asyncio.Runner()
        self._opening = Application.open(settings_for(**urls, requests_per_minute=0))
        self.application = self._runner.run(self._opening.__aenter__())
        app = create_app(self.application)
        self.document: dict[str, Any] = app.openapi()
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://test")
        self.key = self._runner.run(tenant(self.application)).headers
        self.owner = self._runner.run(owner_headers(self.application, self._client))

    def ask(self, **request: Any) -> httpx.Response:
        return self._runner.run(self._asked(request))

    async def _asked(self, request: dict[str, Any]) -> httpx.Response:
        answer = await self._client.request(**request)
        await answer.request.aread()  # a form's body is a stream, and the checks want to show it
        return answer

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.run(self._opening.__aexit__(None, None, None))
        self._runner.close()


@pytest.fixture
def side(redis_url: str, database_url: str, prefix: str) -> Iterator[Side]:
    side = Side(redis_url=redis_url, database_url=database_url, prefix=prefix)
    yield side
    side.close()


def _pairs(files: Any) -> list[tuple[str, Any]]:
    return list(files.items()) if isinstance(files, dict) else list(files)


def _carried(value: Any) -> Any:
    """A form's file as a client can send one: a number drawn in its place becomes its text."""
    if isinstance(value, tuple):
        return tuple(None if each is None else _carried(each) for each in value)
    return value if isinstance(value, bytes | str) else str(value)


def _keeps_the_document(side: Side, operation: Any, headers: dict[str, str]) -> None:
    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def answers(case: schemathesis.Case) -> None:
        request = case.as_transport_kwargs(base_url="http://test", headers=headers)
        request.pop("cookies", None)
        if isinstance(request.get("data"), bytes | str):
            request["content"] = request.pop("data")
        if request.get("files"):
            request["files"] = [(name, _carried(value)) for name, value in _pairs(request["files"])]
        case.validate_response(side.ask(**request), checks=_CHECKS)

    answers()


def test_every_answer_is_one_that_the_document_foresees(side: Side) -> None:
    schema = schemathesis.openapi.from_dict(side.document)
    asked: set[str] = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.startswith(_ELSEWHERE):
            continue
        _keeps_the_document(side, operation, side.owner if operation.path.startswith("/v1/organizations") else side.key)
        asked.add(f"{operation.method.upper()} {operation.path}")
    assert {"GET /v1/messages", "POST /v1/people", "PATCH /v1/organizations/{organization_id}"} <= asked


def test_every_operation_is_described(side: Side) -> None:
    for path, item in side.document["paths"].items():
        for method, described in item.items():
            where = f"{method} {path}"
            assert described.get("summary"), where
            assert described.get("tags"), where
            if path.startswith("/v1/"):
                assert described.get("description"), where
                assert described.get("security"), where
                assert {"401", "403", "404", "422", "429"} <= described["responses"].keys(), where
                body = described["responses"]["422"]["content"]["application/json"]["schema"]
                assert body == {"$ref": "#/components/schemas/ErrorOut"}, where
    assert PASSWORD not in str(side.document)
