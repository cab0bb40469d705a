"""Decisions about outgoing messages, without I/O, clock or chance."""

from berrante.messaging.outbound.policy.steps import (
    HOLD_MS,
    LEASE_MS,
    SEND_WITHIN_S,
    Charge,
    Doubt,
    GiveUp,
    Hold,
    Leave,
    Postpone,
    Reaction,
    Send,
    Skip,
    Step,
    Wait,
    next_step,
    react,
)

__all__ = [
    "HOLD_MS",
    "LEASE_MS",
    "SEND_WITHIN_S",
    "Charge",
    "Doubt",
    "GiveUp",
    "Hold",
    "Leave",
    "Postpone",
    "Reaction",
    "Send",
    "Skip",
    "Step",
    "Wait",
    "next_step",
    "react",
]
