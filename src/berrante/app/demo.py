"""The demo of ``up --demo``: an organization with a simulated number, contacts that write, and automations that answer.

Whatever is there is kept: a second start finds the first one's demo, and shows no secret again.
"""

import secrets
from dataclasses import dataclass, replace
from typing import Final

from pydantic import SecretStr
from sqlalchemy import update

from berrante.app.application import Application
from berrante.gateways.simulator import Chatter
from berrante.messaging.instances import Instance
from berrante.messaging.instances.models import instances
from berrante.telemetry import events

INSTANCE_ID: Final = "demo"
_ORGANIZATION: Final = "Demo"
_KEY_NAME: Final = "demo"
_NAMES: Final = ("Ana", "Bento", "Clara", "Davi", "Elisa", "Fábio", "Gabi", "Heitor")
_PHRASES: Final = (
    "Oi, tudo bem?",
    "What are your opening hours?",
    "Qual é o preço?",
    "Do you deliver on Saturdays?",
    "Obrigada!",
    "I would like to order two.",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoAccess:
    """How to get in. A secret is there only if it was made or set at this start; else it was shown before."""

    instance: Instance
    made: bool
    email: str
    password: str | None
    api_key: str | None
    app_secret: str | None
    verify_token: str | None


async def prepare(application: Application) -> DemoAccess:
    """Make what is missing of the demo, take over what the settings say, and let its contacts write."""
    settings = application.settings
    known = await application.instances.get(INSTANCE_ID)
    access = await _instance(application, known)
    organization_id = access.instance.organization_id
    if not await application.automations.list(organization_id):
        await application.automations.create(
            organization_id=organization_id,
            name="Price",
            trigger="keyword",
            keywords=["price", "preço"],
            reply="It costs R$ 42, delivery included.",
            instance_id=INSTANCE_ID,
        )
        await application.automations.create(
            organization_id=organization_id,
            name="Welcome",
            trigger="any",
            reply="Thank you for writing! A person will answer soon.",
            instance_id=INSTANCE_ID,
            delay_ms=500,
        )
    access = replace(access, password=await _owner(application), api_key=await _api_key(application, access.instance))
    if settings.demo.contacts:
        addresses = [f"+5511900{number:06d}" for number in range(1, settings.demo.contacts + 1)]
        application.simulator.start_chatter(
            Chatter(
                instance_id=INSTANCE_ID,
                organization_id=organization_id,
                contacts=addresses,
                mean_interval_ms=settings.demo.chatter_ms,
                phrases=_PHRASES,
                names=dict(zip(addresses, _NAMES, strict=False)),
            )
        )
    events.DEMO_READY(organization_id=str(organization_id), instance_id=INSTANCE_ID, made=access.made)
    return access


async def _instance(application: Application, known: Instance | None) -> DemoAccess:
    demo, email = application.settings.demo, application.settings.owner.email
    app_secret, verify_token = _plain(demo.app_secret), _plain(demo.verify_token)
    made = known is None
    if known is None:
        app_secret = app_secret or secrets.token_hex(16)
        verify_token = verify_token or secrets.token_urlsafe(16)
        organization = await application.organizations.find(_ORGANIZATION)
        organization = organization or await application.organizations.create(_ORGANIZATION)
        known = await application.instances.create(
            organization_id=organization.id,
            id=INSTANCE_ID,
            gateway=application.simulator.name,
            display_number="+55 11 4000-0000",
            app_secret=app_secret,
            verify_token=verify_token,
        )
    else:
        known = replace(
            known, app_secret=app_secret or known.app_secret, verify_token=verify_token or known.verify_token
        )
        values = {"app_secret": known.app_secret, "verify_token": known.verify_token}
        async with application.database.begin() as connection:
            await connection.execute(update(instances).where(instances.c.id == INSTANCE_ID).values(values))
    return DemoAccess(
        instance=known,
        made=made,
        email=email,
        password=None,
        api_key=None,
        app_secret=app_secret,
        verify_token=verify_token,
    )


async def _owner(application: Application) -> str | None:
    """Return the owner's password if it was made or changed now."""
    owner = application.settings.owner
    given = _plain(owner.password)
    password = given or secrets.token_urlsafe(12)
    if await application.people.ensure_owner(owner.email, password):
        return password
    if given is None or await application.people.verify(owner.email, given):
        return None
    await application.people.reset_owner(owner.email, given)
    return given


async def _api_key(application: Application, instance: Instance) -> str | None:
    """Return the key's secret if it was made or set now."""
    given = _plain(application.settings.demo.api_key)
    if given is not None:
        await application.api_keys.issue(instance.organization_id, _KEY_NAME, given)
        return given
    keys = await application.api_keys.list(instance.organization_id)
    if any(key.revoked_at is None for key in keys):
        return None
    _, secret = await application.api_keys.issue(instance.organization_id, _KEY_NAME)
    return secret


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
