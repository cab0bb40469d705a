"""Campaigns: one text to many contacts."""

from berrante.messaging.campaigns.progress import CampaignProgress
from berrante.messaging.campaigns.service import Campaign, Campaigns

__all__ = ["Campaign", "CampaignProgress", "Campaigns"]
