"""An organization with a number and a key, for tests of ``/v1``."""

from dataclasses import dataclass
from uuid import UUID

import httpx

from berrante.app import Application


@dataclass(frozen=True)
class Tenant:
    """One organization; ``headers`` open it."""

    id: UUID
    headers: dict[str, str]
    instance_id: str


async def tenant(application: Application, instance_id: str = "sales") -> Tenant:
    organization = await application.organizations.create(f"Org of {instance_id}")
    await application.instances.create(organization_id=organization.id, id=instance_id)
    _, secret = await application.api_keys.issue(organization.id, "test")
    return Tenant(organization.id, {"Authorization": f"Bearer {secret}"}, instance_id)


async def made(client: httpx.AsyncClient, of: Tenant, **more: object) -> dict[str, object]:
    """Make a contact and return it."""
    body = {"instance_id": of.instance_id, "address": "+5511987654321", **more}
    answer = await client.post("/v1/contacts", json=body, headers=of.headers)
    assert answer.status_code == 201, answer.text
    return answer.json()
