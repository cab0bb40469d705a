"""The OpenAPI document is kept: whatever is asked, no 5xx, and no answer outside its schema."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from jsonschema_rs import Draft202012Validator

from tests.web.access import PASSWORD, owner_headers, tenant
from tests.web.side import Side, keeps_the_document

_EXAMPLES = int(os.environ.get("BERRANTE_SCHEMA_EXAMPLES", "8"))
#: Their answers are a report of the engines, or Meta's.
_ELSEWHERE = ("/health", "/webhooks/", "/metrics")


@pytest.fixture
def side(redis_url: str, database_url: str, prefix: str) -> Iterator[Side]:
    side = Side(redis_url=redis_url, database_url=database_url, prefix=prefix)
    yield side
    side.close()


def test_every_answer_is_one_that_the_document_foresees(side: Side) -> None:
    schema = schemathesis.openapi.from_dict(side.document)
    asked: set[str] = set()
    key = side.run(tenant(side.application)).headers
    owner = side.run(owner_headers(side.application, side.client))
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.startswith(_ELSEWHERE):
            continue
        headers = owner if operation.path.startswith("/v1/organizations") else key
        keeps_the_document(side, operation.as_strategy(), headers, examples=_EXAMPLES)
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


def test_every_body_has_an_example_that_is_of_its_schema(side: Side) -> None:
    for path, item in side.document["paths"].items():
        for method, described in item.items():
            bodies = {"body": described.get("requestBody", {}), **described["responses"]}
            for status, body in bodies.items():
                for kind, content in body.get("content", {}).items():
                    where = f"{method} {path} {status} {kind}"
                    if kind == "application/json":
                        whole = {**content["schema"], "components": side.document["components"]}
                        for example in examples_of(content, side.document):
                            assert list(Draft202012Validator(whole).iter_errors(example)) == [], f"{where}: {example}"
                    elif kind == "text/csv":
                        assert "\n" in content["example"], where
            for parameter in described.get("parameters", []):
                assert parameter.get("description"), f"{method} {path} {parameter['name']}"


def examples_of(content: dict[str, Any], document: dict[str, Any]) -> list[Any]:
    """Return the examples of a body, or those that its model has itself."""
    if "example" in content:
        return [content["example"]]
    if "examples" in content:
        return [each["value"] for each in content["examples"].values()]
    schema = content["schema"]
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return [schema["example"]] if "example" in schema else schema["examples"]
