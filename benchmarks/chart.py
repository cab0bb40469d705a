"""The chart: bars of jobs per second, one group per peer, readable on light and on dark paper."""

from collections.abc import Sequence
from html import escape

from benchmarks.environments import Peer
from benchmarks.results import Figure, Key, Results
from benchmarks.rounds import HEADLINE

_WIDTH, _LEFT, _RIGHT, _TOP = 760, 130, 150, 84
_BAR, _GAP, _GROUP_GAP = 16, 3, 14
_STYLE = """
  text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 } .note { fill: #59636e; font-size: 12px }
  .ours { font-weight: 600 } .axis { stroke: #818b98; stroke-width: 1 } .range { stroke: #1f2328; stroke-width: 1.5 }
  .bar0 { fill: #1a7f37 } .bar1 { fill: #0969da } .other .bar0 { fill: #8fbf9d } .other .bar1 { fill: #8db8e8 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .note { fill: #9198a1 } .axis { stroke: #656c76 } .range { stroke: #f0f6fc }
    .bar0 { fill: #3fb950 } .bar1 { fill: #4493f8 } .other .bar0 { fill: #2c5a38 } .other .bar1 { fill: #2b4d7d }
  }
"""


def svg(measured: Sequence[Results], peers: Sequence[Peer], *, date: str) -> str:
    """Draw the medians at the headline concurrency, with a line from the lowest to the highest round."""
    key = Key(what="process-per-s", concurrency=HEADLINE)
    figures = {(results.server, peer.name): results.figure(peer.name, key) for results in measured for peer in peers}
    highest = max((figure.high for figure in figures.values() if figure), default=1.0)
    scale = (_WIDTH - _LEFT - _RIGHT) / highest
    group = len(measured) * (_BAR + _GAP) + _GROUP_GAP
    height = _TOP + group * len(peers) + 30
    title = f"Jobs per second, {HEADLINE} at once, a handler that does nothing"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="t d">',
        f'<title id="t">{escape(title)}</title>',
        f'<desc id="d">{escape(_spoken(measured, peers, figures))}</desc>',
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="{_LEFT}" y="26">{escape(title)}</text>',
        *_legend(measured),
    ]
    for row, peer in enumerate(peers):
        top = _TOP + row * group
        middle = top + (group - _GROUP_GAP) / 2 + 4
        kind = "ours" if peer.name == "berrante" else "other"
        parts.append(
            f'<g class="{kind}"><text x="{_LEFT - 10}" y="{middle:g}" text-anchor="end">{escape(peer.title)}</text>'
        )
        for index, results in enumerate(measured):
            y = top + index * (_BAR + _GAP)
            parts += _bar(figures[results.server, peer.name], index=index, y=y, scale=scale)
        parts.append("</g>")
    note = f"Median of the rounds; the line spans the lowest and the highest. {date}"
    parts += [
        f'<line class="axis" x1="{_LEFT}" x2="{_LEFT}" y1="{_TOP - 6}" y2="{height - 34}"/>',
        f'<text class="note" x="{_LEFT}" y="{height - 12}">{escape(note)}</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _bar(figure: Figure | None, *, index: int, y: float, scale: float) -> list[str]:
    if figure is None:
        return [f'<text class="note" x="{_LEFT + 6}" y="{y + _BAR - 4}">no result</text>']
    middle, end = y + _BAR / 2, _LEFT + max(figure.median, figure.high) * scale
    low, high = _LEFT + figure.low * scale, _LEFT + figure.high * scale
    return [
        f'<rect class="bar{index}" x="{_LEFT}" y="{y}" width="{figure.median * scale:.1f}" height="{_BAR}" rx="2"/>',
        f'<line class="range" x1="{low:.1f}" x2="{high:.1f}" y1="{middle:g}" y2="{middle:g}"/>',
        f'<text x="{end + 8:.1f}" y="{y + _BAR - 3}">{figure.median:,.0f}</text>',
    ]


def _legend(measured: Sequence[Results]) -> list[str]:
    parts = []
    for index, results in enumerate(measured):
        x = _LEFT + index * 260
        parts.append(f'<rect class="bar{index}" x="{x}" y="42" width="12" height="12" rx="2"/>')
        parts.append(f'<text x="{x + 18}" y="53">{escape(f"{results.server.title()} {results.version}")}</text>')
    return parts


def _spoken(measured: Sequence[Results], peers: Sequence[Peer], figures: dict[tuple[str, str], Figure | None]) -> str:
    said = []
    for results in measured:
        for peer in peers:
            figure = figures[results.server, peer.name]
            said.append(f"{peer.title} on {results.server}: {figure.median:,.0f}" if figure else f"{peer.title}: none")
    return "; ".join(said)
