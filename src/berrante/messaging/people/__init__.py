"""People who log in."""

from berrante.messaging.people.service import People, Person

__all__ = ["People", "Person"]
