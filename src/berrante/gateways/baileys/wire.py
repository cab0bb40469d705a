"""Messages as WhatsApp's clients write them to each other: its ``Message`` as JSON, which the sidecar encrypts."""

import base64
import secrets
from typing import Any

from berrante.gateways.protocol import (
    Action,
    MediaContent,
    OutboundMessage,
    Scope,
    SendError,
    TextContent,
)

Json = dict[str, Any]


def whatsapp_message(message: OutboundMessage, file: Json | None = None) -> Json:
    """Return the message; ``file`` describes an uploaded file. Raises ``SendError`` for content of another kind."""
    match message.content:
        case TextContent(body=body):
            kind, part = "extendedTextMessage", Json(text=body)
        case MediaContent(kind=media, caption=caption, filename=filename) if file is not None:
            named = {"caption": caption, "fileName": filename}
            kind, part = f"{media.value}Message", file | {name: value for name, value in named.items() if value}
        case content:
            reason = f"a number on Baileys sends texts and files, not {content.type}: send one, or use another number"
            raise SendError(reason, scope=Scope.MESSAGE, action=Action.DROP, code="131051")
    if message.reply_to is not None:
        # The sidecar adds whose it was, by the name that the chat has for them.
        text = message.quoted.text if message.quoted else ""
        part["contextInfo"] = {"stanzaId": message.reply_to, "quotedMessage": {"conversation": text}}
    # Clients that are to tell WhatsApp of a message prove with it which one they mean.
    secret = base64.b64encode(secrets.token_bytes(32)).decode()
    return {kind: part, "messageContextInfo": {"messageSecret": secret}}
