"""What an operator may do about a cause: a sentence, chosen without I/O."""

from collections.abc import Mapping
from typing import Final

from berrante.messaging.dead_letters.cause import Cause

_BY_CODE: Final[Mapping[str, str]] = {
    "job_timed_out": "Find what the handler waited for, or raise the time that a run may take; then retry.",
    "invalid_payload": "Whoever added these jobs wrote what is not JSON: mend the producer, then discard.",
    "gateway_missing": "Start a worker that has this gateway's settings, then retry.",
    "receipt_too_early": "The message that these receipts speak of was never stored as sent: discard.",
}
_BY_SCOPE: Final[Mapping[str, str]] = {
    "message": "Look at one message; mend what it says, then retry.",
    "recipient": "WhatsApp does not deliver to these contacts: discard.",
    "template": "Have the template approved again in WhatsApp Manager, then retry.",
    "number": "Restore the number (its connection, its quality, its limits), then retry.",
    "account": "Restore the account (its access, its payment, its policy state), then retry.",
}
_BY_WORDS: Final = (
    ("malformed data", "The producer leaves a field out or writes it wrong: mend it, then discard these letters."),
    ("has no jobs named", "The producer adds a job that nobody handles: mend its name, then discard."),
    ("no such instance", "Make the instance, or mend the producer's instanceId; then retry."),
    ("belongs to another organization", "The producer mixes up organizations: mend it, then discard."),
    ("stalled more than", "A worker died or was blocked while it ran these: see its log and memory, then retry."),
    ("cannot be stored as JSON", "The work is done; only its result was lost: mend the handler, then discard."),
)
_ELSE: Final = "Look at one letter's reason and trace; mend the cause, then retry, or discard what is out of date."


def remedy(cause: Cause, *, reason: str) -> str:
    """Suggest what to do about letters of ``cause``, one of which has ``reason``.

    >>> remedy(Cause(queue="outbound", code="131026", scope="recipient"), reason="undeliverable")
    'WhatsApp does not deliver to these contacts: discard.'
    """
    if cause.code in _BY_CODE:
        return _BY_CODE[cause.code]
    for words, said in _BY_WORDS:
        if words in reason:
            return said
    return _BY_SCOPE.get(cause.scope or "", _ELSE)
