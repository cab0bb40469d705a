"""Content without parts to choose from: text, place, cards, reaction."""

from dataclasses import dataclass, field
from typing import ClassVar

from berrante.gateways.content import checking
from berrante.gateways.content.checking import ContentInvalid


@dataclass(frozen=True, kw_only=True, slots=True)
class TextContent:
    """A plain text message; ``body`` holds 1 to 4096 characters. ``preview_url`` shows the first link's page.

    Source: Meta, "Text messages".
    """

    body: str
    preview_url: bool = False
    type: ClassVar[str] = "text"

    def __post_init__(self) -> None:
        checking.text(self.body, "body", most=4_096)


@dataclass(frozen=True, kw_only=True, slots=True)
class LocationContent:
    """A place; degrees, with the name and address that are shown under the map (1000 characters each).

    Source: Meta, "Location messages"; the lengths are ours.
    """

    latitude: float
    longitude: float
    name: str | None = None
    address: str | None = None
    type: ClassVar[str] = "location"

    def __post_init__(self) -> None:
        for value, name, most in ((self.latitude, "latitude", 90), (self.longitude, "longitude", 180)):
            if not -most <= value <= most:  # not a number fails too
                raise ContentInvalid(name, f"is {value}", remedy=f"give degrees from -{most} to {most}")
        checking.text(self.name, "name", most=1_000)
        checking.text(self.address, "address", most=1_000)


@dataclass(frozen=True, kw_only=True, slots=True)
class Phone:
    """A card's phone number as it is shown; ``wa_id`` (digits) lets it be written to."""

    phone: str
    type: str | None = None
    wa_id: str | None = None

    def __post_init__(self) -> None:
        checking.text(self.phone, "phone", most=60)
        checking.text(self.type, "type", most=30)
        checking.text(self.wa_id, "wa_id", most=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class Email:
    """A card's e-mail address."""

    email: str
    type: str | None = None

    def __post_init__(self) -> None:
        checking.text(self.email, "email", most=320)
        checking.text(self.type, "type", most=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class ContactCard:
    """One person or business to pass on. WhatsApp shows ``formatted_name`` and wants one part of it as well."""

    formatted_name: str
    first_name: str | None = None
    last_name: str | None = None
    company: str | None = None
    phones: tuple[Phone, ...] = ()
    emails: tuple[Email, ...] = ()

    def __post_init__(self) -> None:
        for name in ("formatted_name", "first_name", "last_name", "company"):
            checking.text(getattr(self, name), name, most=300)
        if self.first_name is None and self.last_name is None:
            raise ContentInvalid("first_name", "is missing", remedy="give first_name or last_name too")
        checking.number_of(self.phones, "phones", least=0, most=20)
        checking.number_of(self.emails, "emails", least=0, most=20)


@dataclass(frozen=True, kw_only=True, slots=True)
class ContactsContent:
    """Cards of 1 to 257 people (Meta, "Contacts messages")."""

    contacts: tuple[ContactCard, ...]
    type: ClassVar[str] = "contacts"

    def __post_init__(self) -> None:
        checking.number_of(self.contacts, "contacts", most=257)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReactionContent:
    """An emoji under a message of the chat, named by WhatsApp's own id of it; an empty one takes ours away.

    Source: Meta, "Reaction messages": the message must not be older than 30 days, nor a reaction itself.
    """

    message_id: str
    emoji: str = field(default="")
    type: ClassVar[str] = "reaction"

    def __post_init__(self) -> None:
        checking.text(self.message_id, "message_id", most=512)
        checking.text(self.emoji, "emoji", least=0, most=32)
        if self.emoji and self.emoji.isascii():
            raise ContentInvalid("emoji", f"is {self.emoji!r}", remedy="give one emoji, or nothing to take it away")
