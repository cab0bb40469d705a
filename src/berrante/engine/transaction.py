"""Script calls that take effect together."""

from collections.abc import Sequence
from typing import Any

from berrante.engine.connection import Connection
from berrante.engine.wire.scripts import Call, Script


async def run_together(connection: Connection, calls: Sequence[Call]) -> list[Any]:
    """Call scripts in order, as one step for everybody else, and return their answers.

    Raises the first error among them; what the other calls did then stands, since Redis undoes nothing.
    """
    if len(calls) == 1:
        return [await connection.run(calls[0])]
    sent: set[Script] = set()
    async with connection.redis.pipeline(transaction=True) as pipeline:
        for call in calls:
            # By source where a script comes first: inside a transaction, a server that does not know a digest says so
            # too late, when the calls around it are done.
            verb, script = ("EVALSHA", call.script.sha) if call.script in sent else ("EVAL", call.script.source)
            sent.add(call.script)
            pipeline.execute_command(verb, script, len(call.keys), *call.keys, *call.args)
        answers: list[Any] = await pipeline.execute(raise_on_error=True)
    return answers
