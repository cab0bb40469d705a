"""What holds for a name or a text wherever one is given."""

from typing import Final

from berrante.messaging.errors import Invalid

MAX_TEXT: Final = 4_096  # Meta's limit of a text message's body, in characters


def named(name: str, *, field: str = "name") -> str:
    """Return the name without outer spaces; raises ``Invalid`` unless 1 to 200 printable characters are left."""
    name = name.strip()
    if not 1 <= len(name) <= 200:
        raise Invalid(field, f"has {len(name)} characters", remedy="give 1 to 200")
    if not name.isprintable():
        raise Invalid(field, "has characters that cannot be printed", remedy="give plain text on one line")
    return name


def text_body(text: str, *, field: str) -> str:
    """Return the text of a message; raises ``Invalid`` unless WhatsApp and the database can hold it."""
    if not text.strip():
        raise Invalid(field, "is empty", remedy="give the text to send")
    if len(text) > MAX_TEXT:
        raise Invalid(field, f"has {len(text)} characters", remedy=f"give at most {MAX_TEXT}")
    if storable(text) != text:
        raise Invalid(field, "has characters that cannot be stored", remedy="leave out U+0000 and lone surrogates")
    return text


def storable(text: str) -> str:
    r"""Return the text with U+FFFD in place of what PostgreSQL cannot hold: U+0000 and lone surrogates.

    >>> storable("a\0b") == "a\ufffdb"
    True
    """
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
