"""What a message to be sent may hold: one type per kind of content, as the OpenAPI document shows it.

All kinds are in the document; a kind that the number's gateway cannot send is refused by name.
"""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import Field

from berrante.gateways.protocol import (
    Button,
    ButtonsContent,
    ContactCard,
    ContactsContent,
    Content,
    Email,
    ListContent,
    LocationContent,
    Phone,
    Row,
    Section,
    TextContent,
)
from berrante.messaging.messages.bodies import BY_ADDRESS, refusal
from berrante.web.api.file_contents import MediaIn, TemplateIn
from berrante.web.api.shapes import MessageShape, Strict
from berrante.web.errors import WebError


class TextIn(MessageShape):
    """A text."""

    type: Literal["text"]
    text: str = Field(min_length=1, max_length=4_096, examples=["Your order is on its way."])
    preview_url: bool = Field(False, description="Show the page of the first link.")

    def content(self, _: UUID) -> Content:
        return TextContent(body=self.text, preview_url=self.preview_url)


class ButtonIn(Strict):
    """A button that answers with its id."""

    id: str = Field(min_length=1, max_length=256, examples=["yes"])
    title: str = Field(min_length=1, max_length=20, examples=["Yes, please"])


class ButtonsIn(MessageShape):
    """A text with one to three buttons."""

    type: Literal["buttons"]
    text: str = Field(min_length=1, max_length=1_024)
    buttons: list[ButtonIn] = Field(min_length=1, max_length=3)
    header: str | None = Field(None, min_length=1, max_length=60)
    footer: str | None = Field(None, min_length=1, max_length=60)

    def content(self, _: UUID) -> Content:
        buttons = tuple(Button(id=each.id, title=each.title) for each in self.buttons)
        return ButtonsContent(body=self.text, buttons=buttons, header=self.header, footer=self.footer)


class RowIn(Strict):
    """A line of a list, that answers with its id."""

    id: str = Field(min_length=1, max_length=200)
    title: str = Field(min_length=1, max_length=24)
    description: str | None = Field(None, min_length=1, max_length=72)


class SectionIn(Strict):
    """Lines under a title, which a list of several sections needs."""

    title: str | None = Field(None, min_length=1, max_length=24)
    rows: list[RowIn] = Field(min_length=1, max_length=10)


class ListIn(MessageShape):
    """A text whose button opens a list of up to ten lines."""

    type: Literal["list"]
    text: str = Field(min_length=1, max_length=4_096)
    button: str = Field(min_length=1, max_length=20, examples=["See times"])
    sections: list[SectionIn] = Field(min_length=1, max_length=10)
    header: str | None = Field(None, min_length=1, max_length=60)
    footer: str | None = Field(None, min_length=1, max_length=60)

    def content(self, _: UUID) -> Content:
        sections = tuple(
            Section(
                title=section.title,
                rows=tuple(Row(id=row.id, title=row.title, description=row.description) for row in section.rows),
            )
            for section in self.sections
        )
        return ListContent(
            body=self.text, button=self.button, sections=sections, header=self.header, footer=self.footer
        )


class LocationIn(MessageShape):
    """A place."""

    type: Literal["location"]
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    name: str | None = Field(None, min_length=1, max_length=1_000)
    address: str | None = Field(None, min_length=1, max_length=1_000)

    def content(self, _: UUID) -> Content:
        return LocationContent(latitude=self.latitude, longitude=self.longitude, name=self.name, address=self.address)


class CardIn(Strict):
    """One person or business to pass on; WhatsApp wants ``first_name`` or ``last_name`` beside the shown name."""

    formatted_name: str = Field(min_length=1, max_length=300, examples=["Ana Souza"])
    first_name: str | None = Field(None, min_length=1, max_length=300)
    last_name: str | None = Field(None, min_length=1, max_length=300)
    company: str | None = Field(None, min_length=1, max_length=300)
    phones: list[str] = Field(default_factory=list, max_length=20, examples=[["+5511987654321"]])
    emails: list[str] = Field(default_factory=list, max_length=20)


class ContactsIn(MessageShape):
    """Cards of people."""

    type: Literal["contacts"]
    contacts: list[CardIn] = Field(min_length=1, max_length=257)

    def content(self, _: UUID) -> Content:
        cards = (
            ContactCard(
                formatted_name=card.formatted_name,
                first_name=card.first_name,
                last_name=card.last_name,
                company=card.company,
                phones=tuple(Phone(phone=phone) for phone in card.phones),
                emails=tuple(Email(email=email) for email in card.emails),
            )
            for card in self.contacts
        )
        return ContactsContent(contacts=tuple(cards))


MessageIn = Annotated[
    TextIn | MediaIn | TemplateIn | ButtonsIn | ListIn | LocationIn | ContactsIn, Field(discriminator="type")
]


def _example(summary: str, **body: object) -> dict[str, Any]:
    return {"summary": summary, "value": {"to": "+5511987654321", **body}}


EXAMPLES: Final[dict[str, Any]] = {
    "text": _example("A text", type="text", text="Your order is on its way."),
    "media": _example("A document by its address", type="media", kind="document", url="https://example.com/menu.pdf"),
    "template": _example(
        "An approved template", type="template", name="order_shipped", language="pt_BR", variables={"1": "Ana"}
    ),
    "buttons": _example(
        "A question with two answers",
        type="buttons",
        text="Shall we deliver today?",
        buttons=[{"id": "yes", "title": "Yes"}, {"id": "no", "title": "No"}],
    ),
    "list": _example(
        "A list to choose from",
        type="list",
        text="When may we come?",
        button="See times",
        sections=[{"rows": [{"id": "9", "title": "9 am"}, {"id": "14", "title": "2 pm"}]}],
    ),
    "location": _example("A place", type="location", latitude=-23.5614, longitude=-46.6559, name="Our shop"),
    "contacts": _example(
        "A card",
        type="contacts",
        contacts=[{"formatted_name": "Ana Souza", "first_name": "Ana", "phones": ["+5511987654321"]}],
    ),
}


def check_sendable(message: MessageShape, *, gateway: str) -> None:
    """Raise a 422 that names what the number's gateway sends, unless the message is of such a kind."""
    problem = refusal(gateway, message.type)
    if problem is not None:
        raise WebError(422, "content_not_supported", problem, field="type")
    problem = refusal(gateway, BY_ADDRESS) if isinstance(message, MediaIn) and message.url is not None else None
    if problem is not None:
        raise WebError(422, "content_not_supported", problem, field="url")
