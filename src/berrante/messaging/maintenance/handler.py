"""The queue ``maintenance``: one chore per job name."""

from collections.abc import Awaitable, Callable, Mapping

from berrante.engine import Job, Unrecoverable

Chore = Callable[[Job], Awaitable[object]]


class MaintenanceHandler:
    """Does the chore that a job names, and returns what it returned."""

    def __init__(self, chores: Mapping[str, Chore]) -> None:
        self._chores = chores

    async def __call__(self, job: Job) -> object:
        """Do it once; raises ``Unrecoverable`` for a name that is no chore."""
        chore = self._chores.get(job.name)
        if chore is None:
            names = ", ".join(sorted(self._chores))
            raise Unrecoverable(f"queue 'maintenance' has no jobs named {job.name!r}: use one of {names}")
        return await chore(job)
