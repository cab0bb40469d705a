"""Quotas of organizations."""

from berrante.messaging.quotas.service import Quota, Quotas, Usage, admit_campaign, admit_contacts

__all__ = ["Quota", "Quotas", "Usage", "admit_campaign", "admit_contacts"]
