"""One of everything that can be sent."""

from berrante.gateways.protocol import (
    Button,
    ButtonKind,
    ButtonsContent,
    Component,
    ContactCard,
    ContactsContent,
    Content,
    Email,
    ListContent,
    LocationContent,
    MediaContent,
    MediaKind,
    Parameter,
    Phone,
    Place,
    ReactionContent,
    Row,
    Section,
    TemplateContent,
    TextContent,
)

PICTURE = MediaContent(kind=MediaKind.IMAGE, link="https://shop.example/shoe.jpg")

EVERY_CONTENT: list[Content] = [
    TextContent(body="Olá 🙂", preview_url=True),
    MediaContent(kind=MediaKind.IMAGE, link="https://shop.example/shoe.jpg", caption="A shoe"),
    MediaContent(kind=MediaKind.VIDEO, id="1013859600285441"),
    MediaContent(kind=MediaKind.AUDIO, stored="ab/cd"),
    MediaContent(kind=MediaKind.DOCUMENT, id="77", filename="invoice.pdf", caption="Your invoice"),
    MediaContent(kind=MediaKind.STICKER, id="78"),
    TemplateContent(
        name="order_sent",
        language="pt_BR",
        components=(
            Component(place=Place.HEADER, parameters=(Parameter(media=PICTURE),)),
            Component(place=Place.BODY, parameters=(Parameter(text="Ana"), Parameter(text="42", name="price"))),
            Component(place=Place.BUTTON, button=ButtonKind.URL, index=0, parameters=(Parameter(text="orders/42"),)),
        ),
    ),
    ButtonsContent(
        body="Confirm?",
        header_media=PICTURE,
        footer="Until noon",
        buttons=(Button(id="yes", title="Yes"), Button(id="no", title="No")),
    ),
    ListContent(
        body="Which size?",
        button="Sizes",
        header="Shoes",
        sections=(
            Section(title="Small", rows=(Row(id="s36", title="36"), Row(id="s37", title="37", description="last"))),
            Section(title="Large", rows=(Row(id="s44", title="44"),)),
        ),
    ),
    LocationContent(latitude=-23.55, longitude=-46.63, name="Shop", address="Rua Augusta 1"),
    ContactsContent(
        contacts=(
            ContactCard(
                formatted_name="Ana Souza",
                first_name="Ana",
                company="Acme",
                phones=(Phone(phone="+55 11 99999-0001", type="CELL", wa_id="5511999990001"),),
                emails=(Email(email="ana@example.com"),),
            ),
        )
    ),
    ReactionContent(message_id="wamid.HBgN", emoji="👍"),
    ReactionContent(message_id="wamid.HBgN"),
]
