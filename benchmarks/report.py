"""The results as Markdown tables."""

import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.environments import Peer
from benchmarks.results import Figure, Key, Results
from benchmarks.rounds import HEADLINE, Plan

_NOTHING = "n/a"

Cell = Callable[[Peer], str]


def markdown(measured: Sequence[Results], peers: Sequence[Peer], plan: Plan, *, date: str) -> str:
    """Write one section per server; every cell is ``median (lowest to highest)`` over the rounds."""
    fewer = ", ".join(peer.title for peer in peers if peer.share < 1)
    least = int(plan.jobs * min(peer.share for peer in peers))
    about = (
        f"{_machine()}. {plan.rounds} interleaved rounds, {plan.jobs:,} jobs each"
        f"{f' ({least:,} for {fewer})' if fewer else ''}, a quarter of that at one at a time, and with a "
        "waiting handler no more than take two seconds. The payload is some 90 bytes of JSON. Cells are medians, "
        "with the lowest and the highest round in brackets. Every round counted each job's deliveries."
    )
    parts = [
        f"# Benchmarks of {date}",
        about,
        "Versions: " + ", ".join(f"{peer.title} {peer.version}" for peer in peers) + ".",
    ]
    for results in measured:
        parts += _server(results, peers, plan)
    return "\n\n".join(parts) + "\n"


def _server(results: Results, peers: Sequence[Peer], plan: Plan) -> list[str]:
    def figures(what: str, concurrency: int = 0, handler_ms: float = 0.0, digits: int = 0) -> Cell:
        key = Key(what=what, concurrency=concurrency, handler_ms=handler_ms)
        return lambda peer: _cell(results.figure(peer.name, key), digits)

    def bulk(peer: Peer) -> str:
        mark = "*" if peer.name in results.without_bulk else ""
        return figures("add-bulk-per-s")(peer) + mark

    def idle(share: float) -> Cell:
        def cell(peer: Peer) -> str:
            value = results.idle_ms(peer.name, share)
            return _NOTHING if value is None else f"{value:,.2f}"

        return cell

    def processing(handler_ms: float) -> dict[str, Cell]:
        columns = {f"{c} at once": figures("process-per-s", c, handler_ms) for c in plan.concurrencies}
        if HEADLINE in plan.concurrencies:
            key = Key(what="process-per-s", concurrency=HEADLINE, handler_ms=handler_ms)
            columns[f"times Node at {HEADLINE}"] = lambda peer: _times(results, peer.name, "node", key)
        return columns

    cpu = {
        f"{title}, {side} µs": figures(f"{what}-{side}-us", *at, digits=1)
        for title, what, at in (("process", "process", (HEADLINE,)), ("add in bulk", "add-bulk", ()))
        for side in ("client", "server")
    }
    sections: list[tuple[str, dict[str, Cell]]] = [
        ("Processing, a handler that does nothing: jobs per second", processing(0.0)),
        (f"Processing, a handler that waits {plan.handler_ms:g} ms: jobs per second", processing(plan.handler_ms)),
        ("Adding: jobs per second", {"one at a time": figures("add-one-per-s"), "in bulk": bulk}),
        ("From add to the handler's first line, an idle worker: ms", {"p50": idle(0.5), "p99": idle(0.99)}),
        (
            "Bytes in the server per job, by default options",
            {"waiting": figures("bytes-waiting"), "completed": figures("bytes-completed")},
        ),
        (f"Processor time per job at {HEADLINE} at once", cpu),
    ]
    name = {"redis": "Redis", "valkey": "Valkey"}.get(results.server, results.server)
    lines = [f"## {name} {results.version}"]
    if results.wrong:
        lines.append("\n".join(f"**{wrong}**" for wrong in results.wrong))
    else:
        lines.append(f"Every job of every peer ran exactly once in all {results.rounds} rounds.")
    for title, columns in sections:
        lines += [f"### {title}", _table(peers, columns)]
    if results.without_bulk:
        lines.append(
            "\\* It has no call for many jobs: they were added by one call each, at once where that was faster."
        )
    return lines


def _table(peers: Sequence[Peer], columns: dict[str, Cell]) -> str:
    rows = [["", *columns], ["---", *("---:" for _ in columns)]]
    rows += [[peer.title, *(cell(peer) for cell in columns.values())] for peer in peers]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(figure: Figure | None, digits: int) -> str:
    if figure is None:
        return _NOTHING
    median, low, high = (f"{value:,.{digits}f}" for value in (figure.median, figure.low, figure.high))
    return median if figure.rounds == 1 else f"{median} ({low} to {high})"


def _times(results: Results, peer: str, other: str, key: Key) -> str:
    ours, theirs = results.figure(peer, key), results.figure(other, key)
    return f"{ours.median / theirs.median:.2f}" if ours and theirs and theirs.median else _NOTHING


def _machine() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    return f"{os.cpu_count()} cores ({model}), {platform.system()}, Python {platform.python_version()}"
