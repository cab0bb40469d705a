"""What keeps the stores small and the queues in order."""

from berrante.messaging.maintenance.cleaning import Cleaned, Cleaning
from berrante.messaging.maintenance.handler import MaintenanceHandler
from berrante.messaging.maintenance.rerunning import Rerunning, Reruns
from berrante.messaging.maintenance.retention import KeptFor, Removed, RetentionKeeper
from berrante.messaging.maintenance.schedules import restore_schedules, schedule_maintenance

__all__ = [
    "Cleaned",
    "Cleaning",
    "KeptFor",
    "MaintenanceHandler",
    "Removed",
    "Rerunning",
    "Reruns",
    "RetentionKeeper",
    "restore_schedules",
    "schedule_maintenance",
]
