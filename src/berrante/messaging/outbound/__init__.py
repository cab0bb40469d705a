"""The way out: from a stored row to what the contact sees, at most once."""
