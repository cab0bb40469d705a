"""The content of a message as it is stored: an object with a ``type``, whatever the producer wrote."""

from typing import Any

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
    return {storable(name): _clean(value) for name, value in content.items()}


def text_of(content: dict[str, Any]) -> str | None:
    """Return the text of a message of type ``text``, else None."""
    text = content.get("text") if content.get("type") == "text" else None
    return text if isinstance(text, str) else None


def text_content(text: str) -> dict[str, Any]:
    """Return the content of a text message."""
    return {"type": "text", "text": text}


def _clean(value: Any) -> Any:  # noqa: ANN401  any JSON
    match value:
        case str():
            return storable(value)
        case list():
            return [_clean(item) for item in value]
        case dict():
            return {storable(name): _clean(item) for name, item in value.items()}
        case _:
            return value
