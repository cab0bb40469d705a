"""``/admin/queues/health``: whether the board can show anything; to its owner also what."""

import time
from collections.abc import Mapping
from typing import Any

from berrante.engine import Queue
from berrante.engine.connection import is_unavailable
from berrante.engine.inspection import QueueSummary, summarize
from berrante.web.board.options import BoardOptions
from berrante.web.board.page import have_assets, ui_version


async def report(queues: Mapping[str, Queue], options: BoardOptions, *, whole: bool) -> dict[str, Any]:
    """Return ``{"status", "ui", "redis", "queues"?}``; the queues only if ``whole``, since they say how busy we are."""
    started = time.perf_counter()
    try:
        summaries = await summarize(list(queues.values()))
    except Exception as error:
        if not is_unavailable(error):
            raise
        return {"status": "down", "ui": _ui(options), "redis": {"status": "down"}}
    latency_ms = round((time.perf_counter() - started) * 1_000, 1)
    found: dict[str, Any] = {
        "status": "ok" if have_assets() else "degraded",
        "ui": _ui(options),
        "redis": {"status": "ok", "latency_ms": latency_ms},
    }
    if whole:
        found["queues"] = {name: _queue(summary) for name, summary in zip(queues, summaries, strict=True)}
    return found


def _ui(options: BoardOptions) -> dict[str, Any]:
    if not have_assets():
        return {"status": "missing", "remedy": "run `make assets`, or install a wheel that was built with them"}
    return {"status": "ok", "version": ui_version(), "read_only": options.read_only}


def _queue(summary: QueueSummary) -> dict[str, Any]:
    return {
        **{state.value: count for state, count in summary.counts.items()},
        "paused": summary.paused,
        "workers": None if summary.workers is None else len(summary.workers),
        "limited_ms": summary.limited_ms,
    }
