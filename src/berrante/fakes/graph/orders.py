"""What was ordered to go wrong with sends to come."""

import enum
from dataclasses import dataclass


class Fault(enum.StrEnum):
    """Ways in which a connection fails, beside refusals."""

    #: The contact sees the message, and the answer is cut off.
    LOST_ANSWER = "lost_answer"
    #: Nobody sees anything, and the connection is cut off.
    LOST_REQUEST = "lost_request"
    #: The contact sees the message, and no answer comes at all.
    SILENCE = "silence"
    #: A proxy in between answers 502 with a page; the contact sees the message.
    BAD_GATEWAY = "bad_gateway"


@dataclass(kw_only=True, slots=True, eq=False)
class Order:
    """One thing that goes wrong ``left`` times: a refusal by ``code``, or a ``fault``.

    ``late``: the send is accepted, and the refusal comes as a status of the message, as Meta does for most codes.
    """

    left: int
    code: int | None = None
    fault: Fault | None = None
    to: str | None = None
    late: bool = False


class Orders:
    """Orders are used up in the order in which they were given."""

    def __init__(self) -> None:
        self._orders: list[Order] = []

    def add(self, order: Order) -> None:
        if order.left < 1 or (order.code is None) == (order.fault is None):
            raise ValueError("an order needs a count of 1 or more, and either a code or a fault")
        self._orders.append(order)

    def take(self, to: str) -> Order | None:
        """Use up one order for a send to this contact."""
        for order in self._orders:
            if order.to in {None, to}:
                order.left -= 1
                if not order.left:
                    self._orders.remove(order)
                return order
        return None

    def clear(self) -> None:
        self._orders.clear()


#: Titles and HTTP statuses of what a Graph says (Meta, "Cloud API error codes"); any other code answers 400.
TITLES: dict[int, tuple[int, str]] = {
    0: (401, "AuthException"),
    1: (500, "API Unknown"),
    2: (503, "API Service"),
    4: (429, "API Too Many Calls"),
    10: (403, "Permission Denied"),
    33: (400, "Parameter value is not valid"),
    100: (400, "Invalid parameter"),
    190: (401, "Access token has expired"),
    368: (403, "Temporarily blocked for policies violations"),
    80007: (429, "Rate limit issues"),
    130429: (429, "Rate limit hit"),
    130472: (400, "User's number is part of an experiment"),
    131000: (500, "Something went wrong"),
    131005: (403, "Access denied"),
    131008: (400, "Required parameter is missing"),
    131009: (400, "Parameter value is not valid"),
    131016: (500, "Service unavailable"),
    131021: (400, "Recipient cannot be sender"),
    131026: (400, "Message undeliverable"),
    131031: (403, "Account has been locked"),
    131042: (402, "Business eligibility payment issue"),
    131047: (400, "Re-engagement message"),
    131048: (429, "Spam rate limit hit"),
    131049: (400, "This message was not delivered to maintain healthy ecosystem engagement"),
    131050: (400, "User has stopped marketing messages from your business"),
    131051: (501, "Unsupported message type"),
    131052: (400, "Media download error"),
    131053: (400, "Media upload error"),
    131056: (429, "(Business account, consumer account) pair rate limit hit"),
    131057: (500, "Account in maintenance mode"),
    132000: (400, "Template param count mismatch"),
    132001: (404, "Template does not exist"),
    132015: (400, "Template is paused"),
    132016: (400, "Template is disabled"),
    133010: (400, "Phone number not registered"),
}


def title_of(code: int) -> tuple[int, str]:
    """Return the HTTP status and title of a code."""
    return TITLES.get(code, (400, "Refused by order"))


def error_body(code: int, details: str) -> dict[str, object]:
    """Return the body of a refusal, in Graph's form."""
    title = title_of(code)[1]
    return {
        "error": {
            "message": f"(#{code}) {title}",
            "type": "OAuthException",
            "code": code,
            "error_data": {"messaging_product": "whatsapp", "details": details},
            "fbtrace_id": "FAKE",
        }
    }
