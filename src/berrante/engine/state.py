"""The states of a job."""

import enum


class State(enum.StrEnum):
    """Where a job stands; values are BullMQ's names in its own getters.

    In Redis, ``waiting`` is the key ``wait``. Version 5's list ``paused`` counts as ``waiting``, as in BullMQ 6.
    """

    WAITING = "waiting"
    ACTIVE = "active"
    PRIORITIZED = "prioritized"
    DELAYED = "delayed"
    COMPLETED = "completed"
    FAILED = "failed"
    WAITING_CHILDREN = "waiting-children"

    @property
    def key(self) -> str:
        """Return the suffix of the state's key.

        >>> State.WAITING.key, State.FAILED.key
        ('wait', 'failed')
        """
        return "wait" if self is State.WAITING else self.value
