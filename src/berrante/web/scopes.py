"""Which scope a route of ``/v1`` needs: derived from its path, so that no route can forget to ask."""

from typing import Final

from berrante.messaging.people import SCOPES

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
#: Path segments and the noun of their scopes.
_NOUNS: Final = {
    "api-keys": "api_keys",
    "audit-log": "audit_log",
    "automations": "automations",
    "campaigns": "campaigns",
    "consent": "contacts",
    "consents": "contacts",
    "contacts": "contacts",
    "conversations": "messages",
    "custom-fields": "contacts",
    "dead-letters": "dead_letters",
    "fields": "contacts",
    "imports": "contacts",
    "instances": "instances",
    "media": "messages",
    "messages": "messages",
    "opt-outs": "contacts",
    "people": "people",
    "quotas": "quotas",
    "schedules": "campaigns",
    "segments": "contacts",
    "suppressions": "contacts",
    "tags": "contacts",
    "templates": "campaigns",
    "uploads": "messages",
    "webhook-endpoints": "webhooks",
    "webhooks": "webhooks",
}
#: Routes of the platform's owner, who is not asked for scopes.
OWNERS: Final = frozenset({"organizations"})


def scope_of(method: str, path: str) -> str | None:
    """Return the scope that a request needs, or None if its path names nothing that has scopes.

    The last noun counts, and nouns stand where names of collections stand: an id that looks like one is none.

    >>> scope_of("GET", "/v1/contacts/7"), scope_of("POST", "/v1/instances/sales/messages")
    ('contacts.read', 'messages.write')
    >>> scope_of("GET", "/v1/instances/messages"), scope_of("POST", "/v1/campaigns/7/start")
    ('instances.read', 'campaigns.write')
    """
    parts = path.strip("/").split("/")
    if parts[0] != "v1":
        return None
    if parts[1:2] == ["dead-letters"]:  # letters are named after jobs, whose ids may have slashes, so look like nouns
        parts = parts[:2]
    nouns = [_NOUNS[part] for part in parts[1::2] if part in _NOUNS]
    if not nouns:
        return None
    scope = f"{nouns[-1]}.{'read' if method in _READS else 'write'}"
    # A noun that can only be read has no route that writes.
    return scope if scope in SCOPES else None
