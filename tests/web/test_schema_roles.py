"""The OpenAPI document is kept towards every role, with its own ids and another organization's: no 5xx, no answer
outside its schema, and nothing of the other organization.
"""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis

from berrante.messaging.people import SCOPES, Role
from tests.web.access import Tenant, headers_of, owner_headers, person, tenant
from tests.web.side import Side, keeps_the_document
from tests.web.test_every_route import things_of
from tests.web.test_schema import examples_of

#: Reports of the engines, and Meta's; ``/auth`` ends the very session that asks.
_ELSEWHERE = ("/health", "/webhooks/", "/metrics", "/auth/")
_THEIRS = "other-b7"
_PHONE = "+5585912345678"
#: How many of the operations are there for the role and can be done to a simulated number, at least.
_DO = {"platform owner": 60, "owner": 55, "admin": 55, "key": 55, "agent": 25, "viewer": 15}
_ADMINS = {"api-keys", "organizations", "people"}
_LAST = ("/v1/organizations",)  # an organization that was changed may be over its quotas


@pytest.fixture
def side(redis_url: str, database_url: str, prefix: str) -> Iterator[Side]:
    side = Side(redis_url=redis_url, database_url=database_url, prefix=prefix)
    yield side
    side.close()


async def _headers(side: Side, who: str, mine: Tenant) -> dict[str, str]:
    match who:
        case "platform owner":
            owner = await owner_headers(side.application, side.client)
            return owner | {"X-Organization-Id": str(mine.organization_id)}
        case "key":
            # Not the one that things_of names: a case may close that one to us.
            _, secret = await side.application.api_keys.issue(mine.organization_id, "asks", scopes=SCOPES)
            return {"X-API-Key": secret}
        case role:
            await person(side.application, mine.organization_id, Role(role), f"asking-{role}@mine.example")
            return await headers_of(side.client, f"asking-{role}@mine.example")


def _leaks(answer: httpx.Response, theirs: list[str]) -> list[str]:
    """Return what is said of the other organization that was not said in the question."""
    asked = f"{answer.request.url} {answer.request.content.decode(errors='replace')}"
    return [each for each in theirs if each in answer.text and each not in asked]


def _naming(operation: Any, ids: dict[str, str], body: Any = None) -> Any:
    """Return cases of an operation that name these things, under no key that was used, and with this body if any."""

    def named(case: schemathesis.Case) -> schemathesis.Case:
        case.path_parameters = {name: ids.get(name, value) for name, value in case.path_parameters.items()}
        case.headers.pop("Idempotency-Key", None)
        if body is not None:
            case.body, case.media_type = body, "application/json"
        return case

    return operation.as_strategy().map(named)


def _example(side: Side, operation: Any) -> Any:
    """Return the body that the document gives as an example; the test of the document itself reads them all."""
    described = side.document["paths"][operation.path][operation.method.lower()]
    content = described.get("requestBody", {}).get("content", {}).get("application/json")
    return None if content is None else examples_of(content, side.document)[0]


@pytest.mark.timeout(300)  # some hundred requests, on a machine that may have other things to do
@pytest.mark.parametrize("who", ["platform owner", "owner", "admin", "agent", "viewer", "key"])
def test_every_role_gets_answers_that_the_document_foresees_and_nothing_of_others(side: Side, who: str) -> None:
    mine = side.run(tenant(side.application, "Mine"))
    others = side.run(tenant(side.application, "Others"))
    own = side.run(things_of(side.application, mine, "sales"))
    theirs = side.run(things_of(side.application, others, _THEIRS, phone=_PHONE))
    headers = side.run(_headers(side, who, mine))
    told = [*theirs.values(), f"secret of {_THEIRS}", f"{_THEIRS}.example", _PHONE]
    statuses: dict[str, set[int]] = {}

    operations = [result.ok() for result in schemathesis.openapi.from_dict(side.document).get_all_operations()]
    operations = [each for each in operations if not each.path.startswith(_ELSEWHERE)]
    operations.sort(key=lambda each: (each.path.startswith(_LAST), each.method.upper() == "DELETE"))
    for operation in operations:
        where = f"{operation.method.upper()} {operation.path}"
        may_see = who == "platform owner" and operation.path.startswith(_LAST)

        def asked(answer: httpx.Response, *, where: str = where, may_see: bool = may_see) -> None:
            statuses.setdefault(where, set()).add(answer.status_code)
            assert may_see or _leaks(answer, told) == [], f"{where}: {answer.text[:500]}"

        keeps_the_document(side, _naming(operation, own, _example(side, operation)), headers, examples=1, asked=asked)
        if "{" in operation.path:
            keeps_the_document(side, _naming(operation, theirs), headers, examples=1, asked=asked)

    did = {where for where, codes in statuses.items() if min(codes) < 300}
    assert len(did) >= _DO[who], sorted(statuses.keys() - did)
    if who in {"agent", "viewer"}:
        kept = {where: codes for where, codes in statuses.items() if where.split("/")[2] in _ADMINS}
        assert len(kept) > 10
        assert {where: codes for where, codes in kept.items() if not codes <= {403, 422}} == {}
