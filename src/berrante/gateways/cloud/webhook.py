"""Reads the body of a Cloud API webhook: every entry, change, message and status of a batch."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeVar
from uuid import UUID

import msgspec

from berrante.gateways.cloud.elements import (
    Json,
    NotTaken,
    kind,
    milliseconds,
    read_error_kind,
    read_message,
    read_name,
    read_status,
)
from berrante.gateways.cloud.errors import MalformedWebhook
from berrante.gateways.cloud.updates import Origin, read_change, read_preference, read_system
from berrante.gateways.protocol import Event, Parsed

T = TypeVar("T")

_ACCOUNT: Final = "whatsapp_business_account"
_UNDERSTOOD: Final = frozenset(
    {"messaging_product", "metadata", "contacts", "messages", "statuses", "errors", "user_preferences"}
)


def parse(raw_body: bytes, *, organization_id: UUID, instance_id: str, phone_number_id: str | None = None) -> Parsed:
    """Return all events of a webhook, in order, and a count of all else that it brought.

    What is malformed or of an unknown kind is counted under its name (``message:unsupported``, ``malformed:status``,
    ``change:flows``) and costs its neighbours nothing. With ``phone_number_id``, changes of another number
    are counted as ``foreign:phone_number_id`` and not read.

    Raises ``MalformedWebhook`` if the body is no JSON, or not Meta's envelope.
    """
    reading = _Reading(organization_id=organization_id, instance_id=instance_id, phone_number_id=phone_number_id)
    reading.read(_decoded(raw_body))
    return Parsed(events=reading.events, unknown=dict(reading.unknown))


class _Reading:
    """One body being read; methods stand in the order of the nesting."""

    def __init__(self, *, organization_id: UUID, instance_id: str, phone_number_id: str | None) -> None:
        self.events: list[Event] = []
        self.unknown: Counter[str] = Counter()
        self._organization_id = organization_id
        self._instance_id = instance_id
        self._phone_number_id = phone_number_id

    def read(self, body: Json) -> None:
        match body:
            case {"object": str(name)} if name != _ACCOUNT:
                self.unknown[kind("object", name)] += 1
            case {"object": str(), "entry": list(entries)}:
                for entry in entries:
                    self._read_entry(entry)
            case _:
                raise MalformedWebhook("it has no 'object' and list 'entry'")

    def _read_entry(self, entry: Json) -> None:
        match entry:
            case {"changes": list(changes)}:
                origin = self._origin(entry)
                for change in changes:
                    self._read_change(change, origin)
            case _:
                self.unknown["malformed:entry"] += 1

    def _origin(self, entry: Mapping[str, Json]) -> Origin:
        account_id = entry.get("id")
        return Origin(
            organization_id=self._organization_id,
            instance_id=self._instance_id,
            account_id=account_id if isinstance(account_id, str) and account_id.isdecimal() else None,
            # Entries of messages have no time, and need none.
            at_ms=milliseconds(entry.get("time")) or 0,
        )

    def _read_change(self, change: Json, origin: Origin) -> None:
        match change:
            case {"field": "messages", "value": dict(value)}:
                self._read_value(value, origin)
            case {"field": "user_preferences", "value": dict(value)}:
                self._read_value({"user_preferences": []} | value, origin)
            case {"field": str(field)} if field != "messages":
                update = read_change(origin, field, change.get("value"))
                if update is None:
                    self.unknown[kind("change", field)] += 1
                else:
                    self.events.append(update)
            case _:
                self.unknown["malformed:change"] += 1

    def _read_value(self, value: Mapping[str, Json], origin: Origin) -> None:
        if not self._is_ours(value):
            self.unknown["foreign:phone_number_id"] += 1
            return
        names = dict(self._taken(value, "contacts", read_name))
        self.events += self._taken(
            value,
            "messages",
            lambda element: (
                read_system(origin, element)
                or read_message(
                    element, organization_id=self._organization_id, instance_id=self._instance_id, names=names
                )
            ),
        )
        self.events += self._taken(
            value,
            "statuses",
            lambda element: read_status(element, organization_id=self._organization_id, instance_id=self._instance_id),
        )
        self.events += self._taken(value, "user_preferences", lambda element: read_preference(origin, element))
        self.unknown.update(self._taken(value, "errors", read_error_kind))
        self.unknown.update(kind("value", key) for key in value if key not in _UNDERSTOOD)

    def _is_ours(self, value: Mapping[str, Json]) -> bool:
        if self._phone_number_id is None:
            return True
        metadata = value.get("metadata")
        return isinstance(metadata, dict) and metadata.get("phone_number_id") == self._phone_number_id

    def _taken(self, value: Mapping[str, Json], key: str, read: Callable[[Json], T | None]) -> Iterator[T]:
        elements = value.get(key, [])
        if not isinstance(elements, list):
            self.unknown[f"malformed:{key}"] += 1
            return
        for element in elements:
            try:
                result = read(element)
            except NotTaken as reason:
                self.unknown[reason.kind] += 1
                continue
            if result is not None:
                yield result


def _decoded(raw_body: bytes) -> Json:
    try:
        return msgspec.json.decode(raw_body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedWebhook(f"{type(error).__name__}: {error}") from error
