"""All tables, so that ``berrante.store.metadata`` is whole once this module is imported."""

from berrante.messaging.api_keys.models import api_keys
from berrante.messaging.automations.models import automation_runs, automations
from berrante.messaging.campaigns.models import campaign_recipients, campaigns
from berrante.messaging.cloud_numbers.models import cloud_numbers, number_updates
from berrante.messaging.contacts.models import contacts
from berrante.messaging.instances.models import instances
from berrante.messaging.messages.models import message_prices, messages
from berrante.messaging.organizations.models import organizations
from berrante.messaging.outbound.models import opened_chats, pair_rates, sending_holds
from berrante.messaging.people.models import people
from berrante.messaging.webhooks.models import webhook_unknowns

__all__ = [
    "api_keys",
    "automation_runs",
    "automations",
    "campaign_recipients",
    "campaigns",
    "cloud_numbers",
    "contacts",
    "instances",
    "message_prices",
    "messages",
    "number_updates",
    "opened_chats",
    "organizations",
    "pair_rates",
    "people",
    "sending_holds",
    "webhook_unknowns",
]
