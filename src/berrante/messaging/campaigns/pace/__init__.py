"""When a campaign may write to whom: policy without a clock, a database or luck of its own."""

from berrante.messaging.campaigns.pace.budget import Budget, NumberState, budget
from berrante.messaging.campaigns.pace.hours import Calendar, Hours
from berrante.messaging.campaigns.pace.policy import Policy
from berrante.messaging.campaigns.pace.zones import zone_of

__all__ = ["Budget", "Calendar", "Hours", "NumberState", "Policy", "budget", "zone_of"]
