"""All tables, so that ``berrante.store.metadata`` is whole once this module is imported."""

from berrante.messaging.api_keys.models import api_keys
from berrante.messaging.automations.models import automation_runs, automations
from berrante.messaging.baileys.models import baileys_journal, baileys_keys, baileys_sessions
from berrante.messaging.campaigns.models import campaign_recipients, campaigns
from berrante.messaging.contacts.models import contacts
from berrante.messaging.instances.models import instances
from berrante.messaging.messages.models import messages
from berrante.messaging.organizations.models import organizations
from berrante.messaging.people.models import people
from berrante.messaging.webhooks.models import webhook_unknowns

__all__ = [
    "api_keys",
    "automation_runs",
    "automations",
    "baileys_journal",
    "baileys_keys",
    "baileys_sessions",
    "campaign_recipients",
    "campaigns",
    "contacts",
    "instances",
    "messages",
    "organizations",
    "people",
    "webhook_unknowns",
]
