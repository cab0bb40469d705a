"""The web side: the API, health, and the webhooks that WhatsApp calls."""
