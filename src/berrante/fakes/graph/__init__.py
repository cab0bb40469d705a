"""A stand-in for Meta's Graph: it takes messages as the Cloud API does, and calls webhooks as Meta does.

It knows nothing of Berrante and shares no code with the gateway: what both misread in the same way, it cannot find.
What differs from the real one is listed in ``docs/gateways.md``.
"""

from berrante.fakes.graph.orders import Fault, Orders
from berrante.fakes.graph.server import FakeGraph
from berrante.fakes.graph.webhooks import Manners
from berrante.fakes.graph.world import Seen, World

__all__ = ["FakeGraph", "Fault", "Manners", "Orders", "Seen", "World"]
