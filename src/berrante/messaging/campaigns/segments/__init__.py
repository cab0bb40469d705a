"""Segments: a small filter language over contacts, read here, run by PostgreSQL. Nothing here does I/O."""

from berrante.messaging.campaigns.segments.compiling import compiled
from berrante.messaging.campaigns.segments.conditions import Condition
from berrante.messaging.campaigns.segments.errors import SegmentInvalid
from berrante.messaging.campaigns.segments.matching import Facts, matches
from berrante.messaging.campaigns.segments.parsing import parse

__all__ = ["Condition", "Facts", "SegmentInvalid", "compiled", "matches", "parse"]
