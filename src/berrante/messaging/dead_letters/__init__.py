"""Dead letters as people look at them: one by one, and by what caused them."""

from berrante.messaging.dead_letters.cause import Cause, Letter, cause_of, read_letter
from berrante.messaging.dead_letters.groups import Group, Groups
from berrante.messaging.dead_letters.healing import Healing
from berrante.messaging.dead_letters.selection import Selection
from berrante.messaging.dead_letters.triage import LetterPage, Triage, Triaged

__all__ = [
    "Cause",
    "Group",
    "Groups",
    "Healing",
    "Letter",
    "LetterPage",
    "Selection",
    "Triage",
    "Triaged",
    "cause_of",
    "read_letter",
]
