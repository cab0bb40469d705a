"""Contacts: who writes to a number, or is written to."""

from berrante.messaging.contacts.consent import Consent, Evidence, Refusal
from berrante.messaging.contacts.contact import Contact
from berrante.messaging.contacts.search import Search
from berrante.messaging.contacts.service import Contacts, Recorded

__all__ = ["Consent", "Contact", "Contacts", "Evidence", "Recorded", "Refusal", "Search"]
