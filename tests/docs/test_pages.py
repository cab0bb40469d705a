"""The pages say what is there: their links lead somewhere, and the tests they name exist."""

import ast
import re
from pathlib import Path

import pytest

from berrante.engine.notices import Notice

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/**/*.md")]
    if path.is_file()
)
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = [link for link in _LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = _TEST.findall(page.read_text())
    assert [f"{path}::{name}" for path, name in named if name not in _tests_of(ROOT / path)] == []


def test_every_promise_of_the_checklist_names_a_test() -> None:
    lines = (ROOT / "docs/QUEUE_CHECKLIST.md").read_text().splitlines()
    promises = [line for line in lines if line.startswith("| ") and not line.startswith(("| promise", "| ---"))]
    assert len(promises) > 40
    assert [line for line in promises if not _TEST.search(line)] == []


def test_every_answer_to_a_threat_names_a_test() -> None:
    lines = (ROOT / "docs/security.md").read_text().splitlines()
    threats = [line for line in lines if line.startswith("| **")]
    assert len(threats) > 30
    assert [line for line in threats if not _TEST.search(line)] == []


def test_every_notice_is_listed_with_its_fields() -> None:
    page = (ROOT / "docs/QUEUE_SYSTEM.md").read_text()
    listed = {row[0]: row[1] for row in re.findall(r"^\| `(\w+)` \| ([^|]*) \|", page, re.MULTILINE)}
    kinds = {kind.__name__: kind for kind in Notice.__subclasses__()}
    assert {name: listed.get(name) for name in kinds} == {
        name: ", ".join(f"`{field}`" for field in kind.__struct_fields__ if field != "queue")
        for name, kind in kinds.items()
    }


def _tests_of(path: Path) -> set[str]:
    if not path.exists():
        return set()
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
