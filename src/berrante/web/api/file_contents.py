"""Requests that send files and templates; what they hold, campaigns hold too."""

from typing import Literal

from berrante.messaging.messages.bodies import MediaBody, TemplateBody
from berrante.web.api.shapes import MessageShape


class MediaIn(MediaBody, MessageShape):
    """An image, a video, a sound, a document or a sticker: uploaded before, or fetched from a public address."""

    type: Literal["media"]


class TemplateIn(TemplateBody, MessageShape):
    """A template that Meta approved; ``variables`` by name, or by place (``1``, ``2``, …)."""

    type: Literal["template"]
