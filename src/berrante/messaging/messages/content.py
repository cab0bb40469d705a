"""The content of a message as it is stored: an object with a ``type``, whatever the producer wrote.

What goes out is stored as what comes in: ``{"type": "image", "image": {…}, "context": {"id": …}}``, a text bare.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from berrante.gateways.protocol import (
    ButtonsContent,
    ContactsContent,
    Content,
    ContentInvalid,
    ListContent,
    LocationContent,
    MediaContent,
    MediaKind,
    Quoted,
    ReactionContent,
    TemplateContent,
    TextContent,
)
from berrante.messaging.errors import Invalid
from berrante.messaging.fields import storable


def normalized(content: dict[str, Any] | str) -> dict[str, Any]:
    """Return the content as an object that the database can hold; bare text becomes one of type ``text``.

    Raises ``Invalid`` for an object without a ``type``, and for a text without ``text``.

    >>> normalized("Hello")
    {'type': 'text', 'text': 'Hello'}
    """
    if isinstance(content, str):
        content = {"type": "text", "text": content}
    if not isinstance(content.get("type"), str):
        raise Invalid("content", "has no type", remedy='give {"type": "text", "text": "…"} or a bare text')
    if content["type"] == "text" and not isinstance(content.get("text"), str):
        raise Invalid("content.text", "is missing", remedy='give {"type": "text", "text": "…"} or a bare text')
    return {storable(name): clean(value) for name, value in content.items()}


def text_of(content: dict[str, Any]) -> str | None:
    """Return the text of a message of type ``text``, else None."""
    text = content.get("text") if content.get("type") == "text" else None
    return text if isinstance(text, str) else None


def words_of(content: Mapping[str, Any]) -> str:
    """Return what is written in a message of any kind: its text, the caption of its file, or nothing.

    >>> words_of({"type": "image", "image": {"id": "7", "caption": "look"}})
    'look'
    """
    part = content.get(str(content.get("type")).removeprefix("group_"))
    words = (part.get("caption") or part.get("body")) if isinstance(part, dict) else part
    return words if isinstance(words, str) else ""


def text_content(text: str) -> dict[str, Any]:
    """Return the content of a text message."""
    return {"type": "text", "text": text}


_KINDS: Final[Mapping[str, type[Content]]] = {
    **{kind.value: MediaContent for kind in MediaKind},
    **{
        kind.type: kind
        for kind in (
            ButtonsContent,
            ContactsContent,
            ListContent,
            LocationContent,
            ReactionContent,
            TemplateContent,
        )
    },
}


def stored(content: Content, *, reply_to: str | None = None, quoted: Quoted | None = None) -> dict[str, Any]:
    """Return the content as it is stored; ``outgoing``, ``reply_to_of`` and ``quoted_of`` read it back.

    >>> stored(LocationContent(latitude=1.5, longitude=2.5), reply_to="wamid.1")
    {'type': 'location', 'location': {'latitude': 1.5, 'longitude': 2.5}, 'context': {'id': 'wamid.1'}}
    """
    if isinstance(content, TextContent):
        kept: dict[str, Any] = text_content(content.body)
        kept |= {"preview_url": True} if content.preview_url else {}
    else:
        # The type stands above: it is not said again inside.
        described = _bare(msgspec.to_builtins(content))
        if isinstance(content, MediaContent):
            del described["kind"]
        kept = {"type": content.type, content.type: described}
    if reply_to is None:
        return kept
    of_it = {"ours": quoted.ours, "text": quoted.text} if quoted else {}
    return kept | {"context": {"id": reply_to, **of_it}}


def outgoing(kept: Mapping[str, Any]) -> Content:
    """Return the content of a stored outgoing message; raises ``ContentInvalid`` for what cannot be sent."""
    type_ = kept.get("type")
    described = kept.get(str(type_))
    kind: type[Content] = TextContent
    if type_ == TextContent.type:
        described = {"body": described, "preview_url": kept.get("preview_url", False)}
    else:
        found = _KINDS.get(str(type_))
        if found is None or not isinstance(described, dict):
            raise ContentInvalid("type", f"is {str(type_)[:40]!r}", remedy="this cannot be sent: write it anew")
        kind = found
        described = described | ({"kind": type_} if kind is MediaContent else {})
    try:
        return msgspec.convert(described, kind)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, ContentInvalid):
            raise error.__cause__ from None
        raise ContentInvalid(str(type_), f"is malformed ({error})", remedy="write it anew") from error


def reply_to_of(kept: Mapping[str, Any]) -> str | None:
    """Return WhatsApp's id of the message that a stored outgoing one answers."""
    context = kept.get("context")
    answered = context.get("id") if isinstance(context, dict) else None
    return answered if isinstance(answered, str) else None


def quoted_of(kept: Mapping[str, Any]) -> Quoted | None:
    """Return what the message was that a stored outgoing one answers, if that was known.

    >>> quoted_of({"type": "text", "text": "Yes", "context": {"id": "3A", "ours": False, "text": "Open?"}})
    Quoted(ours=False, text='Open?')
    """
    match kept.get("context"):
        case {"ours": bool(ours), "text": str(text)}:
            return Quoted(ours=ours, text=text)
        case _:
            return None


def _bare(value: Any) -> Any:  # noqa: ANN401  any JSON
    """Leave out what is not there; an empty emoji takes a reaction away, so it stays."""
    match value:
        case dict():
            return {name: _bare(item) for name, item in value.items() if item is not None and item != ()}
        case list() | tuple():
            return [_bare(item) for item in value]
        case _:
            return value


def clean(value: Any) -> Any:  # noqa: ANN401  any JSON
    """Return the JSON value with U+FFFD in place of what the database cannot hold."""
    match value:
        case str():
            return storable(value)
        case list():
            return [clean(item) for item in value]
        case dict():
            return {storable(name): clean(item) for name, item in value.items()}
        case _:
            return value
