"""The job that works on an import, on the queue ``maintenance``."""

from uuid import UUID

from berrante.engine import NewJob, Queue
from berrante.messaging.payloads import Payload

IMPORT = "import-contacts"


class ImportPayload(Payload, frozen=True, kw_only=True):
    """``importId`` is the row's id."""

    organization_id: UUID
    instance_id: str
    import_id: UUID


def import_job(queue: Queue, *, organization_id: UUID, instance_id: str, import_id: UUID) -> NewJob:
    """Return the job of an import: the same one however often it is added."""
    data = {"organizationId": str(organization_id), "instanceId": instance_id, "importId": str(import_id)}
    return NewJob(IMPORT, data, queue.with_id(f"import-{import_id}"))
