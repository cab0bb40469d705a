"""Which file of the media store a message names: of a picture, or of a template's header, which lies deeper."""

from typing import Any, Final

from sqlalchemy import ColumnElement, func, literal_column

from berrante.gateways.protocol import Content, MediaContent, TemplateContent
from berrante.messaging.messages.models import messages

_PATH: Final[ColumnElement[Any]] = literal_column("'$.**.stored'::jsonpath")
#: What a stored message's content says of it; null if there is none.
file_in: Final = func.jsonb_path_query_first(messages.c.content, _PATH).op("#>>")(literal_column("'{}'::text[]"))
has_file: Final[ColumnElement[bool]] = func.jsonb_path_exists(messages.c.content, _PATH)


def file_of(content: Content) -> tuple[str, str] | None:
    """Return how a request calls the field that names a file of ours, and the file's reference.

    >>> from berrante.gateways.protocol import MediaKind, TextContent
    >>> file_of(MediaContent(kind=MediaKind.IMAGE, stored="a/b.png"))
    ('media_id', 'a/b.png')
    >>> file_of(TextContent(body="stored"))
    """
    match content:
        case MediaContent(stored=str(reference)):
            return "media_id", reference
        case TemplateContent(components=components):
            for parameter in (each for component in components for each in component.parameters):
                if parameter.media is not None and parameter.media.stored is not None:
                    return "header.media_id", parameter.media.stored
    return None
