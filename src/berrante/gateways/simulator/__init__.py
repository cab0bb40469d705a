"""A whole WhatsApp in memory: for the first run, for tests, and to rehearse campaigns."""

from berrante.gateways.simulator.chatter import Chatter
from berrante.gateways.simulator.contacts import Habits, Latency
from berrante.gateways.simulator.ledger import Ledger, Seen
from berrante.gateways.simulator.post import PostFull
from berrante.gateways.simulator.refusals import REFUSALS, refusal
from berrante.gateways.simulator.simulator import Simulator

__all__ = ["REFUSALS", "Chatter", "Habits", "Latency", "Ledger", "PostFull", "Seen", "Simulator", "refusal"]
