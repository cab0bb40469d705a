"""All tables, so that ``berrante.store.metadata`` is whole once this module is imported."""

from berrante.messaging.api_keys.models import api_keys
from berrante.messaging.audit.models import audit_log
from berrante.messaging.automations.models import automation_runs, automations
from berrante.messaging.baileys.models import baileys_journal, baileys_keys, baileys_sessions
from berrante.messaging.campaigns.models import (
    campaign_days,
    campaign_entries,
    campaign_numbers,
    campaign_recipients,
    campaign_settings,
    campaigns,
)
from berrante.messaging.cloud_numbers.models import cloud_numbers, number_updates
from berrante.messaging.contact_imports.models import contact_import_chunks, contact_import_errors, contact_imports
from berrante.messaging.contacts.models import consents, contacts, opt_outs
from berrante.messaging.endpoints.models import webhook_deliveries, webhook_endpoints
from berrante.messaging.files.models import campaign_files, media_backfill, media_files, message_files
from berrante.messaging.idempotency.models import idempotency_keys
from berrante.messaging.instance_states.models import instance_states
from berrante.messaging.instances.models import instances
from berrante.messaging.messages.models import message_prices, messages
from berrante.messaging.organizations.models import organizations
from berrante.messaging.outbound.models import opened_chats, pair_rates, sending_holds
from berrante.messaging.people.models import people, refresh_tokens, sessions
from berrante.messaging.quotas.models import quotas
from berrante.messaging.webhooks.models import webhook_unknowns

__all__ = [
    "api_keys",
    "audit_log",
    "automation_runs",
    "automations",
    "baileys_journal",
    "baileys_keys",
    "baileys_sessions",
    "campaign_days",
    "campaign_entries",
    "campaign_files",
    "campaign_numbers",
    "campaign_recipients",
    "campaign_settings",
    "campaigns",
    "cloud_numbers",
    "consents",
    "contact_import_chunks",
    "contact_import_errors",
    "contact_imports",
    "contacts",
    "idempotency_keys",
    "instance_states",
    "instances",
    "media_backfill",
    "media_files",
    "message_files",
    "message_prices",
    "messages",
    "number_updates",
    "opened_chats",
    "opt_outs",
    "organizations",
    "pair_rates",
    "people",
    "quotas",
    "refresh_tokens",
    "sending_holds",
    "sessions",
    "webhook_deliveries",
    "webhook_endpoints",
    "webhook_unknowns",
]
