"""Smoke tests: the real flow on the configured engines, under a prefix and an organization of their own."""

from berrante.app.smoke.checking import CheckFailed, Outcome
from berrante.app.smoke.flows import automation_flow, campaign_flow, message_flow
from berrante.app.smoke.queue_checks import run_queue_checks
from berrante.app.smoke.stage import Stage, open_stage

__all__ = [
    "CheckFailed",
    "Outcome",
    "Stage",
    "automation_flow",
    "campaign_flow",
    "message_flow",
    "open_stage",
    "run_queue_checks",
]
