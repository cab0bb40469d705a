"""What a message can hold, whichever gateway sends it: checked as it is made, against Meta's limits."""

from berrante.gateways.content.checking import ContentInvalid
from berrante.gateways.content.interactive import Button, ButtonsContent, ListContent, Row, Section
from berrante.gateways.content.media import MediaContent, MediaKind
from berrante.gateways.content.plain import (
    ContactCard,
    ContactsContent,
    Email,
    LocationContent,
    Phone,
    ReactionContent,
    TextContent,
)
from berrante.gateways.content.template import ButtonKind, Component, Parameter, Place, TemplateContent

Content = (
    TextContent
    | MediaContent
    | TemplateContent
    | ButtonsContent
    | ListContent
    | LocationContent
    | ContactsContent
    | ReactionContent
)


def shown(content: Content) -> str:
    """Return the words that stand on the contact's screen; of a template, whose words Meta has, its name.

    >>> shown(LocationContent(latitude=-23.5, longitude=-46.6, name="Shop"))
    'Shop'
    """
    match content:
        case TextContent() | ButtonsContent() | ListContent():
            return content.body
        case MediaContent():
            return content.caption or content.filename or ""
        case TemplateContent():
            texts = [each.text for part in content.components for each in part.parameters if each.text]
            return " ".join([content.name, *texts])
        case LocationContent():
            return content.name or f"{content.latitude}, {content.longitude}"
        case ContactsContent():
            return ", ".join(card.formatted_name for card in content.contacts)
        case ReactionContent():
            return content.emoji


__all__ = [
    "Button",
    "ButtonKind",
    "ButtonsContent",
    "Component",
    "ContactCard",
    "ContactsContent",
    "Content",
    "ContentInvalid",
    "Email",
    "ListContent",
    "LocationContent",
    "MediaContent",
    "MediaKind",
    "Parameter",
    "Phone",
    "Place",
    "ReactionContent",
    "Row",
    "Section",
    "TemplateContent",
    "TextContent",
    "shown",
]
