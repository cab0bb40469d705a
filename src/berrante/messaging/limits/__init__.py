"""How often something may be done, counted in Redis for all processes."""

from berrante.messaging.limits.rate import Admission, RateLimiter

__all__ = ["Admission", "RateLimiter"]
