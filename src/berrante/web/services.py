"""What the web side needs of the process that it runs in; the composition root provides it."""

from collections.abc import Mapping
from typing import Protocol, cast

from fastapi import Request

from berrante.engine import Connection
from berrante.gateways.baileys import Sidecars
from berrante.gateways.media import MediaStore
from berrante.gateways.protocol import EventSink, Gateway
from berrante.messaging.api_keys import ApiKeys
from berrante.messaging.audit import AuditLog
from berrante.messaging.campaigns import CampaignAccount, Campaigns
from berrante.messaging.contact_imports import ContactImports
from berrante.messaging.contacts import Contacts
from berrante.messaging.conversations import Conversations
from berrante.messaging.dead_letters import Triage
from berrante.messaging.endpoints import Deliveries, Endpoints
from berrante.messaging.idempotency import IdempotencyKeys
from berrante.messaging.instances import Instances
from berrante.messaging.limits import RateLimiter
from berrante.messaging.messages import Messages
from berrante.messaging.organizations import Organizations
from berrante.messaging.outbound.service import Outbound
from berrante.messaging.people import LoginAttempts, People, Sessions
from berrante.messaging.queues import Queues
from berrante.messaging.quotas import Quotas
from berrante.messaging.webhooks import WebhookUnknowns
from berrante.settings import Settings
from berrante.store import Database
from berrante.telemetry import Metrics


class Services(Protocol):
    """The services of one process, found at ``request.app.state.application``."""

    @property
    def settings(self) -> Settings: ...
    @property
    def database(self) -> Database: ...
    @property
    def connection(self) -> Connection: ...
    @property
    def queues(self) -> Queues: ...
    @property
    def intake(self) -> EventSink: ...
    @property
    def gateways(self) -> Mapping[str, Gateway]: ...
    @property
    def sidecars(self) -> Sidecars: ...
    @property
    def people(self) -> People: ...
    @property
    def instances(self) -> Instances: ...
    @property
    def api_keys(self) -> ApiKeys: ...
    @property
    def organizations(self) -> Organizations: ...
    @property
    def sessions(self) -> Sessions: ...
    @property
    def login_attempts(self) -> LoginAttempts: ...
    @property
    def audit_log(self) -> AuditLog: ...
    @property
    def quotas(self) -> Quotas: ...
    @property
    def rate_limiter(self) -> RateLimiter: ...
    @property
    def secret_key(self) -> str: ...
    @property
    def messages(self) -> Messages: ...
    @property
    def campaigns(self) -> Campaigns: ...
    @property
    def campaign_account(self) -> CampaignAccount: ...
    @property
    def contacts(self) -> Contacts: ...
    @property
    def contact_imports(self) -> ContactImports: ...
    @property
    def conversations(self) -> Conversations: ...
    @property
    def outbound(self) -> Outbound: ...
    @property
    def media(self) -> MediaStore: ...
    @property
    def metrics(self) -> Metrics: ...
    @property
    def triage(self) -> Triage: ...
    @property
    def endpoints(self) -> Endpoints: ...
    @property
    def deliveries(self) -> Deliveries: ...
    @property
    def idempotency_keys(self) -> IdempotencyKeys: ...
    @property
    def unknowns(self) -> WebhookUnknowns: ...


def services(request: Request) -> Services:
    """Return the services (a FastAPI dependency)."""
    return cast("Services", request.app.state.application)
