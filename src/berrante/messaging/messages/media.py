"""Files of contacts' messages: fetched after the message is stored, and named in it by reference."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import select, update

from berrante.engine import Unrecoverable
from berrante.gateways.media import MediaUnavailable, fetches_media
from berrante.gateways.protocol import Gateway, MediaKind
from berrante.messaging.clock import Clock, moment
from berrante.messaging.files.keeping import let_go_unnamed, name_file
from berrante.messaging.instances.tenancy import gateway_of
from berrante.messaging.messages.jobs import MediaPayload
from berrante.messaging.messages.models import messages
from berrante.store import Database

_KINDS: Final = frozenset(kind.value for kind in MediaKind)


def to_fetch(content: Mapping[str, Any]) -> str | None:
    """Return WhatsApp's id of the file that a stored message names and that we do not have yet.

    >>> to_fetch({"type": "image", "image": {"id": "7"}})
    '7'
    >>> to_fetch({"type": "image", "image": {"id": "7", "stored": "x"}})
    """
    described = content.get(content["type"]) if content.get("type") in _KINDS else None
    if not isinstance(described, dict) or "stored" in described or "unavailable" in described:
        return None
    id_ = described.get("id")
    return id_ if isinstance(id_, str) and id_ else None


class MediaFetcher:
    """Fetches files by the gateway of the message's number, if that can."""

    def __init__(self, database: Database, gateways: Mapping[str, Gateway], clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._gateways = gateways

    def can_fetch(self, gateway: str) -> bool:
        """Tell whether the gateway fetches files at all."""
        return fetches_media(self._gateways.get(gateway)) is not None

    async def __call__(self, payload: MediaPayload) -> object:
        """Fetch and store a message's file; raises ``MediaUnavailable`` if trying again may help.

        Killed after the file is stored and before the row says so, the next run stores the same file again; without
        one, the file goes a day later.
        """
        async with self._database.begin() as connection:
            name = await gateway_of(
                connection, organization_id=payload.organization_id, instance_id=payload.instance_id
            )
            query = select(messages.c.content).where(*_mine(payload), messages.c.direction == "in")
            content = (await connection.execute(query)).scalar_one_or_none()
        if content is None:
            raise Unrecoverable(f"instance {payload.instance_id!r} has no incoming message {payload.message_id}")
        media_id = to_fetch(content)
        gateway = fetches_media(self._gateways.get(name))
        if media_id is None or gateway is None:
            return {"status": "nothing to fetch"}
        try:
            stored = await gateway.fetch_media(
                organization_id=payload.organization_id, instance_id=payload.instance_id, media_id=media_id
            )
        except MediaUnavailable as error:
            if error.again:
                raise
            await self._note(payload, {"unavailable": str(error)})
            return {"status": "unavailable"}
        await self._note(payload, {"stored": stored.reference, "size": stored.size}, file=stored.reference)
        return {"status": "stored", "reference": stored.reference}

    async def _note(self, payload: MediaPayload, what: dict[str, Any], *, file: str | None = None) -> None:
        async with self._database.begin() as connection:
            query = select(messages.c.content).where(*_mine(payload)).with_for_update(key_share=True)
            content = (await connection.execute(query)).scalar_one_or_none()
            if content is None or to_fetch(content) is None:
                # Erased meanwhile, or fetched by another worker: then that message names the file.
                if file is not None:
                    await let_go_unnamed(connection, reference=file, at=moment(self._clock()))
                return
            if file is not None and not await name_file(
                connection, organization_id=payload.organization_id, message_id=payload.message_id, reference=file
            ):
                raise MediaUnavailable("it was deleted with the last message that named it", again=True)
            type_ = content["type"]
            changed = content | {type_: content[type_] | what}
            await connection.execute(update(messages).where(*_mine(payload)).values(content=changed))


def _mine(payload: MediaPayload) -> tuple[Any, ...]:
    return (
        messages.c.id == payload.message_id,
        messages.c.organization_id == payload.organization_id,
        messages.c.instance_id == payload.instance_id,
    )
