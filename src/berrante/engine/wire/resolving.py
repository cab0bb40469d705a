"""The call that ends dead letters whose jobs were put back."""

from collections.abc import Sequence

from berrante.engine.policy.retention import Retention
from berrante.engine.wire.codec import Json, encode
from berrante.engine.wire.keys import QueueKeys
from berrante.engine.wire.scripts import Argument, Call, extended


def resolve(keys: QueueKeys, letters: Sequence[tuple[str, str, Json]], *, keep: Retention, now_ms: int) -> Call:
    """Complete letters, each given by its id, its new job's key and what it returns; the reply is 1 or 0 for each."""
    args: list[Argument] = [keys.base, now_ms, keep.count or 0, keep.age_s or 0]
    for letter_id, job_key, value in letters:
        args += (letter_id, job_key, encode(value))
    return Call(extended("resolve"), [keys.wait, keys.paused, keys.completed, keys.events, keys.meta], args)
