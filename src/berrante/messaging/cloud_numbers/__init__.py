"""Numbers of the Cloud API: their tokens, and what Meta says of them."""

from berrante.messaging.cloud_numbers.service import CloudNumbers, CloudNumberState

__all__ = ["CloudNumberState", "CloudNumbers"]
