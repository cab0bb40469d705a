"""Contacts: who writes to a number, or is written to."""
