"""The audit log of administrative acts."""

from berrante.messaging.audit.service import COMMAND, Actor, AuditEntry, AuditLog, record

__all__ = ["COMMAND", "Actor", "AuditEntry", "AuditLog", "record"]
