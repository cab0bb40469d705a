"""Two tenants with people and keys, and what a test asks in their names."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx

from berrante.app import Application
from berrante.messaging import audit
from berrante.messaging.people import ROLE_SCOPES, SCOPES, Person, Role

PASSWORD = "correct horse battery"


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """An organization with a key that may do everything."""

    organization_id: UUID
    key_id: UUID
    secret: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}


async def tenant(application: Application, name: str = "Acme", scopes: frozenset[str] = SCOPES) -> Tenant:
    organization = await application.organizations.create(name)
    key, secret = await application.api_keys.issue(organization.id, "all", scopes=scopes)
    return Tenant(organization_id=organization.id, key_id=key.id, secret=secret)


async def person(application: Application, organization_id: UUID, role: Role, email: str) -> Person:
    made, _ = await application.people.create(
        organization_id, email=email, role=role, password=PASSWORD, actor=audit.COMMAND, may=ROLE_SCOPES[Role.OWNER]
    )
    return made


async def headers_of(client: httpx.AsyncClient, email: str) -> dict[str, str]:
    """Log in, and return what proves it."""
    answer = await client.post("/auth/login", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def owner_headers(application: Application, client: httpx.AsyncClient) -> dict[str, str]:
    await application.people.ensure_owner("root@example.com", PASSWORD)
    return await headers_of(client, "root@example.com")


def error(answer: httpx.Response) -> tuple[int, Any]:
    return answer.status_code, answer.json()["error"]["code"]
