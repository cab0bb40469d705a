"""Quotas of organizations."""

from berrante.messaging.quotas.service import Quota, Quotas, Spending, Usage, admit_campaign, admit_contacts, spending

__all__ = ["Quota", "Quotas", "Spending", "Usage", "admit_campaign", "admit_contacts", "spending"]
