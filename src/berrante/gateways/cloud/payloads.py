"""Messages as the Cloud API wants them. Shapes: Meta, "Messages" of the Cloud API's reference."""

from collections.abc import Iterator, Mapping
from typing import Any

from berrante.gateways.protocol import (
    ButtonKind,
    ButtonsContent,
    Component,
    ContactCard,
    ContactsContent,
    Content,
    ListContent,
    LocationContent,
    MediaContent,
    OutboundMessage,
    Parameter,
    Place,
    ReactionContent,
    TemplateContent,
    TextContent,
)

Json = dict[str, Any]


def payload(message: OutboundMessage, uploaded: Mapping[str, str]) -> Json:
    """Return the body of the send; ``uploaded`` has WhatsApp's id of each stored file that the message names.

    The wire id travels as ``biz_opaque_callback_data``, which every status of the message repeats.
    """
    # A person who hides the number is named by a business-scoped user id, in a field of its own.
    whom = {"to": message.to.removeprefix("+")} if message.to.startswith("+") else {"recipient": message.to}
    body: Json = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **whom,
        **_described(message.content, uploaded),
        "biz_opaque_callback_data": message.wire_id,
    }
    if message.reply_to is not None and not isinstance(message.content, ReactionContent):
        body["context"] = {"message_id": message.reply_to}
    return body


def stored_in(content: Content) -> Iterator[str]:
    """Yield the references of the stored files that have to be uploaded before the message can go."""
    for media in _media_of(content):
        if media.stored is not None:
            yield media.stored


def _media_of(content: Content) -> Iterator[MediaContent]:
    match content:
        case MediaContent():
            yield content
        case ButtonsContent(header_media=MediaContent() as media):
            yield media
        case TemplateContent():
            for component in content.components:
                yield from (parameter.media for parameter in component.parameters if parameter.media is not None)
        case _:
            return


def _described(content: Content, uploaded: Mapping[str, str]) -> Json:
    match content:
        case TextContent():
            described: Json | list[Json] = {"body": content.body, "preview_url": content.preview_url}
        case MediaContent():
            described = _media(content, uploaded)
        case TemplateContent():
            described = {
                "name": content.name,
                "language": {"code": content.language},
                "components": [_component(each, uploaded) for each in content.components],
            }
        case ButtonsContent() | ListContent():
            return {"type": "interactive", "interactive": _interactive(content, uploaded)}
        case LocationContent():
            described = _given(
                latitude=content.latitude, longitude=content.longitude, name=content.name, address=content.address
            )
        case ContactsContent():
            described = [_card(card) for card in content.contacts]
        case ReactionContent():
            described = {"message_id": content.message_id, "emoji": content.emoji}
    return {"type": content.type, content.type: described}


def _media(media: MediaContent, uploaded: Mapping[str, str]) -> Json:
    id_ = uploaded[media.stored] if media.stored is not None else media.id
    return _given(id=id_, link=media.link, caption=media.caption, filename=media.filename)


def _component(component: Component, uploaded: Mapping[str, str]) -> Json:
    parameters = [_parameter(each, component.button, uploaded) for each in component.parameters]
    if component.place is not Place.BUTTON:
        return {"type": component.place.value, "parameters": parameters}
    assert component.button is not None
    return {
        "type": "button",
        "sub_type": component.button.value,
        "index": str(component.index),
        "parameters": parameters,
    }


def _parameter(parameter: Parameter, button: ButtonKind | None, uploaded: Mapping[str, str]) -> Json:
    if parameter.media is not None:
        return {"type": parameter.media.type, parameter.media.type: _media(parameter.media, uploaded)}
    match button:
        case ButtonKind.QUICK_REPLY:
            return {"type": "payload", "payload": parameter.text}
        case ButtonKind.COPY_CODE:
            return {"type": "coupon_code", "coupon_code": parameter.text}
        case _:
            return _given(type="text", text=parameter.text, parameter_name=parameter.name)


def _interactive(content: ButtonsContent | ListContent, uploaded: Mapping[str, str]) -> Json:
    whole: Json = {"body": {"text": content.body}}
    if content.header is not None:
        whole["header"] = {"type": "text", "text": content.header}
    if content.footer is not None:
        whole["footer"] = {"text": content.footer}
    if isinstance(content, ListContent):
        sections = [
            _given(
                title=each.title, rows=[_given(id=r.id, title=r.title, description=r.description) for r in each.rows]
            )
            for each in content.sections
        ]
        return {"type": "list", **whole, "action": {"button": content.button, "sections": sections}}
    if content.header_media is not None:
        media = content.header_media
        whole["header"] = {"type": media.type, media.type: _media(media, uploaded)}
    buttons = [{"type": "reply", "reply": {"id": each.id, "title": each.title}} for each in content.buttons]
    return {"type": "button", **whole, "action": {"buttons": buttons}}


def _card(card: ContactCard) -> Json:
    name = _given(formatted_name=card.formatted_name, first_name=card.first_name, last_name=card.last_name)
    return _given(
        name=name,
        org=None if card.company is None else {"company": card.company},
        phones=[_given(phone=each.phone, type=each.type, wa_id=each.wa_id) for each in card.phones] or None,
        emails=[_given(email=each.email, type=each.type) for each in card.emails] or None,
    )


def _given(**fields: Any) -> Json:  # noqa: ANN401  any JSON
    return {name: value for name, value in fields.items() if value is not None}
