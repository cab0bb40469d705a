"""What a campaign says: Liquid, spintax, variants, WhatsApp templates. Nothing here does I/O."""

from berrante.messaging.campaigns.content.content import Content, Rendered
from berrante.messaging.campaigns.content.errors import RenderFailed, TemplateInvalid
from berrante.messaging.campaigns.content.shares import Shares

__all__ = ["Content", "RenderFailed", "Rendered", "Shares", "TemplateInvalid"]
