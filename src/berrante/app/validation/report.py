"""The report, as text that can be put beside another."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from berrante.app.smoke import Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Some checks that belong together."""

    title: str
    outcomes: Sequence[Outcome]


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What was found; ``facts`` are versions and figures by their names, with no address and no secret."""

    at: str
    facts: Mapping[str, str]
    sections: Sequence[Section]
    figures: Mapping[str, str]

    @property
    def failed(self) -> int:
        """How many checks did not pass."""
        return sum(not outcome.passed for section in self.sections for outcome in section.outcomes)

    @property
    def total(self) -> int:
        """How many checks were made."""
        return sum(len(section.outcomes) for section in self.sections)


def written(report: Report) -> str:
    """Return the report as a Markdown page."""
    lines = [
        "# Validation report",
        "",
        "Written by `berrante validate --output docs/VALIDATION_REPORT.md` on the engines at hand; run it on yours.",
        "What is promised, with the test of each promise, stands in [QUEUE_CHECKLIST.md](QUEUE_CHECKLIST.md).",
        "",
        f"**{report.total - report.failed} of {report.total} checks passed**, {report.at}.",
        "",
        *_table(("what", "which"), report.facts.items()),
    ]
    for section in report.sections:
        rows = [
            ("✓" if outcome.passed else "✗", outcome.name, outcome.detail, str(outcome.took_ms))
            for outcome in section.outcomes
        ]
        lines += ["", f"## {section.title}", "", *_table(("", "check", "found", "ms"), rows)]
    lines += [
        "",
        "## Figures",
        "",
        "Of this machine with whatever else it did; compare engines by the [benchmarks](../benchmarks/README.md).",
        "",
        *_table(("what", "how much"), report.figures.items()),
        "",
    ]
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *cells]]
