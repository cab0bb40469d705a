"""Every class of errors that a gateway knows, and what the contract says of it: one list for all gateways.

A class is what decides the product's reaction: scope, action, whether what rests rests for a minute and longer, whether
only campaigns do, and whether there is a limit to the tries. ``test_the_list_has_every_class`` compares it with the
gateways' own tables.
"""

import enum
from dataclasses import dataclass

from berrante.gateways.protocol import Action, Scope, SendError
from berrante.messaging.outbound.policy.holding import LASTING_MS

Key = tuple[Scope, Action, bool, bool, bool]


class Effect(enum.Enum):
    """What becomes of a message that is refused, and who waits with it. Nobody else does."""

    #: It is failed at once; the next of its chat goes.
    FAILED = "failed"
    #: It is tried again, and the next of its chat waits for it.
    AGAIN = "tried again"
    #: It waits by itself; even the next of its chat goes.
    ALONE = "waits alone"
    #: It waits, and its chat with it.
    CHAT = "its chat waits"
    #: Nothing goes out over the number.
    NUMBER = "the number waits"


@dataclass(frozen=True, kw_only=True)
class ErrorClass:
    """One class: the codes by which Meta (so the simulator and the Cloud API) and Baileys say it.

    ``lacking`` says why one of them does not. ``holds`` names what is held in the database, and whether for campaigns
    alone; ``times`` is how often it is refused, and ``charged`` how many attempts that uses.
    """

    scope: Scope
    action: Action
    effect: Effect
    meta: str | None
    baileys: str | None
    lacking: str = ""
    lasting: bool = False
    campaigns_only: bool = False
    limited: bool = False
    holds: tuple[tuple[str, bool], ...] = ()
    times: int = 1
    charged: int = 0
    stranger: bool = False

    @property
    def key(self) -> Key:
        return (self.scope, self.action, self.lasting, self.campaigns_only, self.limited)

    def code(self, gateway: str) -> str | None:
        return self.baileys if gateway == "baileys" else self.meta


def key_of(error: SendError) -> Key:
    """Return the class of an error."""
    lasting = error.remedy is not None or (error.retry_after_ms or 0) >= LASTING_MS
    return (error.scope, error.action, lasting, error.campaigns_only, error.most_retries is not None)


MESSAGE, RECIPIENT, TEMPLATE, NUMBER, ACCOUNT = Scope
RETRY, HOLD, DROP, SUPPRESS = Action
_NO_TEMPLATES = "WhatsApp Web has no templates"
_NO_ACCOUNTS = "a linked phone is of no business account"
_NO_MARKETING = "WhatsApp Web knows no marketing, nor its limits"
_META_DROPS = "Meta refuses or takes a message: it names nobody who may not be written to for now"

CLASSES = (
    ErrorClass(scope=MESSAGE, action=RETRY, effect=Effect.AGAIN, meta="131000", baileys="479", times=2, charged=2),
    ErrorClass(
        scope=MESSAGE,
        action=RETRY,
        effect=Effect.FAILED,
        meta="131053",
        baileys=None,
        lacking="files go to a media host, whose refusals hold their chat: test_files.py",
        limited=True,
        times=3,
        charged=2,
    ),
    ErrorClass(scope=MESSAGE, action=DROP, effect=Effect.FAILED, meta="131051", baileys="400"),
    ErrorClass(
        scope=RECIPIENT,
        action=RETRY,
        effect=Effect.CHAT,
        meta="131056",
        baileys=None,
        lacking="WhatsApp Web names no pair rate",
    ),
    ErrorClass(
        scope=RECIPIENT,
        action=RETRY,
        effect=Effect.ALONE,
        meta="131049",
        baileys=None,
        lacking=_NO_MARKETING,
        lasting=True,
        campaigns_only=True,
        limited=True,
        holds=(("contact", True),),
        charged=1,
    ),
    ErrorClass(
        scope=RECIPIENT,
        action=HOLD,
        effect=Effect.CHAT,
        meta=None,
        baileys="new_chats_stopped",
        lacking=_META_DROPS,
        lasting=True,
        stranger=True,
    ),
    ErrorClass(scope=RECIPIENT, action=DROP, effect=Effect.FAILED, meta="131026", baileys="463"),
    ErrorClass(
        scope=RECIPIENT,
        action=SUPPRESS,
        effect=Effect.FAILED,
        meta="131050",
        baileys="not_on_whatsapp",
        holds=(("contact", True),),
    ),
    ErrorClass(
        scope=TEMPLATE,
        action=HOLD,
        effect=Effect.ALONE,
        meta="132015",
        baileys=None,
        lacking=_NO_TEMPLATES,
        lasting=True,
        holds=(("template:offer/en", False),),
    ),
    ErrorClass(
        scope=TEMPLATE,
        action=DROP,
        effect=Effect.FAILED,
        meta="132001",
        baileys=None,
        lacking=_NO_TEMPLATES,
        lasting=True,
        campaigns_only=True,
        holds=(("template:offer/en", True),),
    ),
    ErrorClass(scope=NUMBER, action=HOLD, effect=Effect.NUMBER, meta="130429", baileys="503"),
    ErrorClass(
        scope=NUMBER,
        action=HOLD,
        effect=Effect.NUMBER,
        meta=None,
        baileys="link_dropped",
        lacking="a link that breaks in mid-send is in doubt: test_an_answer_that_is_lost",
    ),
    *(
        ErrorClass(
            scope=NUMBER,
            action=HOLD,
            effect=Effect.NUMBER,
            meta=meta,
            baileys=baileys,
            lacking="" if meta else "Meta has no state of a number that is no refusal of a message",
            lasting=True,
            holds=(("number", False),),
        )
        for meta, baileys in (("133010", "429"), (None, "elsewhere"), (None, "logged_out"), (None, "banned"))
    ),
    ErrorClass(
        scope=NUMBER,
        action=HOLD,
        effect=Effect.ALONE,
        meta="131048",
        baileys=None,
        lacking=_NO_MARKETING,
        lasting=True,
        campaigns_only=True,
        holds=(("campaigns", True),),
    ),
    ErrorClass(
        scope=NUMBER,
        action=RETRY,
        effect=Effect.ALONE,
        meta="131057",
        baileys=None,
        lacking="WhatsApp Web closes the link instead",
        lasting=True,
    ),
    ErrorClass(
        scope=NUMBER,
        action=DROP,
        effect=Effect.FAILED,
        meta="33",
        baileys=None,
        lacking="a number that is gone is logged out",
    ),
    ErrorClass(
        scope=ACCOUNT,
        action=HOLD,
        effect=Effect.NUMBER,
        meta="131042",
        baileys=None,
        lacking=_NO_ACCOUNTS,
        lasting=True,
        holds=(("account", False),),
    ),
)
