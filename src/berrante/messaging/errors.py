"""The domain's errors.

MessagingError
├── Invalid            a value cannot be accepted; a ValueError
├── Missing            there is no such thing, or it is another organization's, which looks the same
├── Taken              the name or id is in use
├── WrongState         the thing is not in the state that the operation needs
├── Denied             whoever asks may not do this
├── LoginFailed        the address and the password do not belong together
├── SessionEnded       the session is over: log in again
├── RefreshRaced       another request renewed the session a moment ago
├── LockedOut          too many failed log-ins
├── QuotaExceeded      the organization has used up what it may
├── Busy               too much of it is under way for this organization
├── NotSupported       the gateway of the number cannot do it
├── GatewayRefused     WhatsApp refused it
├── GatewaySilent      WhatsApp did not answer
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


class Denied(MessagingError):
    """Whoever asks may not do this; what it is about is there, and theirs."""

    code = "forbidden"


class LoginFailed(MessagingError):
    """The address and the password do not belong together; which of the two is wrong is not said."""

    code = "login_failed"

    def __init__(self) -> None:
        super().__init__("the e-mail address or the password is wrong")


class SessionEnded(MessagingError):
    """The session is over."""

    code = "session_ended"

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}: log in again")


class RefreshRaced(MessagingError):
    """Another request renewed the session a moment ago."""

    code = "refresh_raced"

    def __init__(self) -> None:
        super().__init__("another request renewed this session a moment ago: use the tokens that it was given")


class LockedOut(MessagingError):
    """Too many failed log-ins: none is tried before ``retry_after_s``."""

    code = "locked_out"

    def __init__(self, *, retry_after_s: int) -> None:
        minutes = -(-retry_after_s // 60)
        wait = f"{minutes} minutes" if minutes > 1 else "a minute"
        super().__init__(f"too many failed log-ins: try again in {wait}")
        self.retry_after_s = retry_after_s


class QuotaExceeded(MessagingError):
    """The organization has used up what it may; ``retry_after_s`` says when to look again."""

    code = "quota_exceeded"

    def __init__(self, quota: str, *, limit: int, used: int, retry_after_s: int) -> None:
        super().__init__(f"{quota}: {used} of {limit} are used: wait, or ask the platform's owner for more")
        self.quota = quota
        self.limit = limit
        self.used = used
        self.retry_after_s = retry_after_s


class Busy(MessagingError):
    """Too much of it is under way for this organization; asking again soon helps."""

    code = "busy"

    def __init__(self, what: str, *, most: int) -> None:
        super().__init__(f"{most} {what} are under way: wait for their answers, then ask again")
        self.retry_after_s = 1


class NotSupported(MessagingError):
    """The gateway of the number cannot do it."""

    code = "not_supported"

    def __init__(self, what: str, *, gateway: str) -> None:
        super().__init__(f"gateway {gateway!r} cannot {what}: leave it out for numbers on it")
        self.details = {"gateway": gateway}


class GatewayRefused(MessagingError):
    """WhatsApp refused it. ``passes`` says that asking again later may help; else somebody has to act."""

    code = "gateway_refused"

    def __init__(self, reason: str, *, provider_code: str, passes: bool, retry_after_s: int = 0) -> None:
        super().__init__(f"WhatsApp refused it: {reason}")
        self.passes = passes
        self.retry_after_s = retry_after_s or 5
        self.details = {"provider_code": provider_code}


class GatewaySilent(MessagingError):
    """WhatsApp did not answer; whether it was done is not known."""

    code = "gateway_silent"

    def __init__(self, gateway: str) -> None:
        super().__init__(f"gateway {gateway!r} did not answer: ask again, doing it twice is doing it once")
        self.retry_after_s = 5


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
