"""A number of the Cloud API on the platform of the messaging tests, with a gateway that answers to order."""

from typing import ClassVar

from sqlalchemy import update

from berrante.messaging.clock import moment
from berrante.messaging.cloud_numbers import CloudNumbers
from berrante.messaging.cloud_numbers.models import cloud_numbers
from berrante.messaging.contacts.models import contacts
from berrante.messaging.instances import Instances
from berrante.store import Cipher, Database
from tests.messaging.gateway import CautiousGateway
from tests.messaging.platform import Platform

CIPHER = Cipher([bytes(32)])
NUMBER = "106540352242922"
TOKEN = "EAAtoken"
CONTACT = "5511999990001"


class ScriptedCloud(CautiousGateway):
    name: ClassVar[str] = "cloud"


async def cloud_number(platform: Platform, id_: str = "shop", *, account: str = "9000") -> None:
    """Make a number of the Cloud API with a token."""
    await Instances(platform.database).create(
        organization_id=platform.organization.id,
        id=id_,
        gateway="cloud",
        phone_number_id="106540352242922",
        app_secret="app-secret",
        verify_token="verify",
    )
    await CloudNumbers(platform.database, platform.queues, clock=platform.clock).connect(
        organization_id=platform.organization.id,
        instance_id=id_,
        access_token="EAAtoken-of-a-test",
        business_account_id=account,
    )


async def wrote(platform: Platform, address: str = "+5511999990001", *, ago_ms: int = 60_000) -> None:
    """Let it be that a contact wrote some time ago."""
    at = moment(platform.clock() - ago_ms)
    async with platform.database.begin() as connection:
        await connection.execute(update(contacts).where(contacts.c.address == address).values(last_message_at=at))


async def set_number(database: Database, **values: object) -> None:
    async with database.begin() as connection:
        await connection.execute(update(cloud_numbers).values(values))
