"""Campaigns: what is said to whom, by which numbers, how fast, and what became of each recipient."""

from berrante.messaging.campaigns.account import CampaignAccount
from berrante.messaging.campaigns.campaign import Campaign
from berrante.messaging.campaigns.progress import CampaignProgress
from berrante.messaging.campaigns.service import Campaigns

__all__ = ["Campaign", "CampaignAccount", "CampaignProgress", "Campaigns"]
