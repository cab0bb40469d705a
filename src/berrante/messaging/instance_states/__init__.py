"""Whether WhatsApp takes messages of a number: connected, disconnected or restricted, and telling of each change."""

from berrante.messaging.instance_states.deciding import InstanceState, Standing, stops_whole_number
from berrante.messaging.instance_states.reports import reported
from berrante.messaging.instance_states.service import become, review, review_all

__all__ = ["InstanceState", "Standing", "become", "reported", "review", "review_all", "stops_whole_number"]
