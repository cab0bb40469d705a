"""Quotas of organizations."""
