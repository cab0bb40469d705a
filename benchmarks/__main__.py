"""``python -m benchmarks compare``: this engine and others, on the same servers in the same hour."""

import argparse
import datetime
import json
import sys
from pathlib import Path

from benchmarks.chart import svg
from benchmarks.environments import PEERS, ROOT, prepare
from benchmarks.report import markdown
from benchmarks.rounds import Plan, measure
from benchmarks.servers import NAMES, ServerMissing, serve


def main() -> int:
    """Measure, print and write the report; 1 if any peer lost a job or ran one twice."""
    given = _arguments()
    plan = Plan(
        rounds=given.rounds, jobs=given.jobs, concurrencies=tuple(given.concurrency), idle_samples=given.idle_samples
    )
    peers = [PEERS[name] for name in given.peers]
    launches = {peer: prepare(peer) for peer in peers}
    measured = []
    for name in NAMES if given.server == "both" else [given.server]:
        try:
            with serve(name) as server:
                measured.append(measure(server, launches, plan))
        except ServerMissing as missing:
            print(f"SKIPPED {name}: {missing}", file=sys.stderr)
    if not measured:
        return 1
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    text = markdown(measured, peers, plan, date=date)
    print(text)
    given.results.mkdir(parents=True, exist_ok=True)
    (given.results / f"{date}.md").write_text(text)
    given.chart.parent.mkdir(parents=True, exist_ok=True)
    given.chart.write_text(svg(measured, peers, date=date))
    if given.json:
        given.json.write_text(json.dumps([results.as_json() for results in measured], indent=1) + "\n")
    wrong = [str(wrong) for results in measured for wrong in results.wrong]
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    compare = parser.add_subparsers(required=True, metavar="compare").add_parser("compare", help=__doc__)
    plan = Plan()
    compare.add_argument("--rounds", type=int, default=plan.rounds)
    compare.add_argument("--jobs", type=int, default=plan.jobs, help="per question; slow peers get less than a fifth")
    compare.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS), metavar="PEER")
    compare.add_argument("--server", choices=[*NAMES, "both"], default="both")
    compare.add_argument("--concurrency", type=int, nargs="+", default=list(plan.concurrencies))
    compare.add_argument("--idle-samples", type=int, default=plan.idle_samples, help="over all rounds, per peer")
    compare.add_argument("--json", type=Path, help="write every value here too")
    compare.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", help="folder of the report")
    compare.add_argument("--chart", type=Path, default=ROOT / "docs" / "benchmarks.svg")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
