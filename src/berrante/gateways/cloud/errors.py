"""The Cloud API gateway's errors.

CloudError
└── MalformedWebhook   a webhook's body is not what Meta sends, as a whole
"""

from typing import ClassVar


class CloudError(Exception):
    """Anything that the Cloud API gateway raises on purpose, apart from what the protocol names."""

    code: ClassVar[str] = "cloud_error"


class MalformedWebhook(CloudError):
    """A webhook's body is not what Meta sends, as a whole; nothing of it was read."""

    code = "malformed_webhook"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the webhook's body cannot be read: {reason}")
        self.reason = reason
