"""Campaigns at size: ``python -m benchmarks.campaigns {freeze,tick,sends,replies} [--json]``.

All run on an embedded PostgreSQL and Valkey, durable as they are shipped.

- ``freeze``: the audience of one campaign becomes its recipients, in the batches that a tick makes;
- ``tick``: how long a tick takes that fills its window, and what Redis then holds, with few recipients and with many;
- ``sends``: a campaign without a pace over several numbers, through the simulator, with all that is stored of it: by
  one process that works on all queues, and by two;
- ``replies``: a number whose campaign has thousands to go is written to by people who are answered: from the call that
  sends the answer to WhatsApp's having it, with the number's gap beside it.
"""

import argparse
import json
from typing import Any

from benchmarks import campaign_sends, campaign_sizes
from benchmarks.driver import run_loop


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.campaigns", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    commands = parser.add_subparsers(dest="command", required=True)
    freeze = commands.add_parser("freeze", help="Freeze the audience of one campaign.")
    freeze.add_argument("--contacts", type=int, default=1_000_000)
    tick = commands.add_parser("tick", help="Tick, and weigh Redis.")
    tick.add_argument("--contacts", type=int, nargs="+", default=[1_000, 1_000_000])
    sends = commands.add_parser("sends", help="Send as fast as it goes.")
    sends.add_argument("--recipients", type=int, default=20_000)
    sends.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    sends.add_argument("--numbers", type=int, default=4)
    replies = commands.add_parser("replies", help="Answer people while a campaign runs on their number.")
    replies.add_argument("--replies", type=int, default=300)
    replies.add_argument("--gap-ms", type=int, default=100)
    given = parser.parse_args()
    found: dict[str, Any]
    match given.command:
        case "freeze":
            found = run_loop(campaign_sizes.freeze(given.contacts))
        case "tick":
            found = run_loop(campaign_sizes.ticks(given.contacts))
        case "sends":
            found = run_loop(campaign_sends.sends(given.recipients, processes=given.processes, numbers=given.numbers))
        case _:
            found = run_loop(campaign_sends.replies(given.replies, gap_ms=given.gap_ms))
    print(json.dumps(found) if given.json else json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
