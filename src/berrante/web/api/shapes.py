"""What bodies have in common."""

from abc import abstractmethod
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from berrante.gateways.protocol import Content


class Strict(BaseModel):
    """A body that refuses fields it does not know: a typing error is not to be lost in silence."""

    model_config = ConfigDict(extra="forbid")


class MessageShape(Strict):
    """A message to one contact. Each kind names its ``type``, by which the body is told apart."""

    type: str
    to: str = Field(
        max_length=130,
        description="Phone number with country code, or a hidden identity as contacts have it.",
        examples=["+5511987654321"],
    )
    reply_to: UUID | None = Field(
        None, description="Id of a message of the same conversation, ours or the contact's, to be quoted."
    )

    @abstractmethod
    def content(self, organization_id: UUID) -> Content:
        """Return what is to be sent; raises ``ContentInvalid`` for what WhatsApp would refuse."""
