"""The domain's errors.

MessagingError
├── Invalid            a value cannot be accepted; a ValueError
├── Missing            there is no such thing, or it is another organization's, which looks the same
├── Taken              the name or id is in use
├── WrongState         the thing is not in the state that the operation needs
├── GatewayMissing     this process has no gateway of the name that an instance asks for
└── ReceiptTooEarly    a receipt came before the message that it speaks of was stored as sent
"""

from typing import ClassVar


class MessagingError(Exception):
    """Anything that the domain raises on purpose."""

    code: ClassVar[str] = "messaging_error"


class Invalid(MessagingError, ValueError):
    """A value cannot be accepted: ``field`` is wrong, and the remedy is in the message."""

    code = "invalid"

    def __init__(self, field: str, problem: str, *, remedy: str) -> None:
        super().__init__(f"{field} {problem}: {remedy}")
        self.field = field
        self.remedy = remedy


class Missing(MessagingError):
    """There is no such thing, or it belongs to another organization, which looks the same from here."""

    code = "missing"

    def __init__(self, kind: str, id_: object) -> None:
        super().__init__(f"no such {kind}: {str(id_)!r}")
        self.kind = kind
        self.id = str(id_)


class Taken(MessagingError):
    """The name or id is in use."""

    code = "taken"

    def __init__(self, kind: str, id_: object) -> None:
        super().__init__(f"{kind} {str(id_)!r} exists already: choose another")
        self.kind = kind
        self.id = str(id_)


class WrongState(MessagingError):
    """The thing is not in the state that the operation needs."""

    code = "wrong_state"

    def __init__(self, kind: str, id_: object, *, state: str, needed: str) -> None:
        super().__init__(f"{kind} {str(id_)!r} is {state}, and has to be {needed}")
        self.state = state
        self.needed = needed


class GatewayMissing(MessagingError):
    """This process has no gateway of the name that an instance asks for."""

    code = "gateway_missing"

    def __init__(self, gateway: str) -> None:
        super().__init__(f"gateway {gateway!r} is not set up in this process: check its settings")
        self.gateway = gateway


class ReceiptTooEarly(MessagingError):
    """A receipt came before the message that it speaks of was stored as sent; trying again soon may help."""

    code = "receipt_too_early"

    def __init__(self, message_id: str, *, instance_id: str) -> None:
        super().__init__(
            f"instance {instance_id!r} has (as yet) no outgoing message of wire or provider id {message_id!r}"
        )
        self.message_id = message_id
