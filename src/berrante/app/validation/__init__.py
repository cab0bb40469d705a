"""``berrante validate``: what the service promises, checked on the engines at hand, and a report of it."""

from berrante.app.validation.report import Report, Section, written
from berrante.app.validation.running import validate

__all__ = ["Report", "Section", "validate", "written"]
